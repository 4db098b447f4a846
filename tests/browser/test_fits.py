"""Tables fit where they stand: at 1280 px without being moved sideways, at 390 px with the columns that matter."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.core.cache import caches
from django.utils import timezone

from cache_admin.models import Growth
from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser

TOO_WIDE = """() => [...document.querySelectorAll('.ca-scroll:not(.ca-twin-box)'), document.documentElement]
    .filter(one => one.scrollWidth > one.clientWidth).map(one => one.className + ' ' + one.scrollWidth)"""
PAGES = ("", "patterns/", "keys/", "large-keys/", "forecast/", "leftovers/", "invalidate/?kind=glob&target=*")


@pytest.fixture
def wide(shop: redis.Redis) -> None:
    """Names, figures and growth as wide as they come."""
    cache = caches["default"]
    names = ("views.decorators.cache.cache_page.product_list.GET", "v2:product_list:category:page:1:sort:newest")
    cache.set_many({f"{name}:{number}": "x" * 700 for name in names for number in range(1_200)}, 40_000)
    cache.set_many({f"throttle_user_{number}": [1.0] * 20 for number in range(300)}, 3_000)
    day = timezone.localdate(timezone=timezone.get_default_timezone()) - timedelta(days=7)
    Growth.objects.create(alias="default", day=day, complete=True, contents={"product:*": [20, 4_000, 0.0]})


@pytest.mark.parametrize("width", [1280, 390])
def test_no_table_is_wider_than_its_box(operator: Operator, wide: None, width: int) -> None:
    page = operator.page
    page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in PAGES:
        page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/{path}")
        page.wait_for_load_state("networkidle")
        page.locator("#content-main tbody tr:visible").first.wait_for()
        if too_wide := page.evaluate(TOO_WIDE):
            found[path] = too_wide
    assert found == {}

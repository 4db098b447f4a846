"""Task 8 of the task book: warm again after a flush, watch it, see what failed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import caches
from playwright.sync_api import expect

from cache_admin.caching.warmers import warmer, warmers
from cache_admin.models import Operation
from tests.browser.conftest import Operator
from tests.operations.conftest import end_operations

pytestmark = pytest.mark.browser


def home() -> dict[str, str]:
    return {"home:page": "hello"}


def categories() -> Iterator[tuple[str, int]]:
    for number in range(40):
        time.sleep(0.05)
        yield f"category:{number}", number


def feed() -> None:
    raise ValueError("the feed of the supplier is empty")


@pytest.fixture(autouse=True)
def registered(transactional_db: None) -> Iterator[None]:
    before = warmers._entries
    warmers._entries = {}
    warmer("home page", critical=True, patterns=["home:page"])(home)
    warmer("categories", group="catalogue", critical=True, patterns=["category:*"])(categories)
    warmer("supplier feed", group="catalogue", critical=True, patterns=["feed:*"])(feed)
    warmer("products", group="catalogue", patterns=["product:*"])(lambda: {f"product:{i}": i for i in range(120)})
    yield
    end_operations()
    warmers._entries = before


def test_task_8_warm_again_after_a_flush_watch_it_and_see_what_failed(operator: Operator, shop: redis.Redis) -> None:
    operator.click("Caches")
    operator.click("Warmers")
    operator.click("Run all critical", role="button")
    watched = operator.page.locator("#ca-warming")
    expect(watched.locator(".ca-running", has_text="categories")).to_be_visible()
    expect(watched).to_contain_text("1 of 3 warmers are over")
    expect(watched).to_contain_text("ValueError: the feed of the supplier is empty", timeout=15_000)
    row = operator.page.locator(".ca-warmers tr", has=operator.page.get_by_text("categories", exact=True))
    expect(row).to_contain_text("40 of 40")
    failed = operator.page.locator(".ca-warmers tr", has=operator.page.get_by_text("supplier feed", exact=True))
    expect(failed).to_contain_text("the feed of the supplier is empty")
    assert operator.clicks <= 3
    assert caches["default"].get("home:page") == "hello"
    assert Operation.objects.get().state == "failed"


def test_a_purge_is_followed_by_warming_what_it_dropped(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/invalidate/?kind=glob&target=product:*")
    operator.page.get_by_label("Glob or key").press("Enter")
    operator.page.get_by_role("button", name="Delete 150 keys").click()
    operator.sees("150 keys deleted")
    operator.page.get_by_role("button", name="Warm what was dropped").click()
    operator.sees("120 keys written")
    assert caches["default"].get("product:7") == 7


def test_a_run_can_be_cancelled_where_it_is_watched(operator: Operator, shop: redis.Redis) -> None:
    warmer("endless", patterns=["e:*"])(endless)
    operator.page.goto(f"{operator.base}/admin/cache_admin/cache/warmers/")
    operator.page.get_by_role("button", name="Run endless").click()
    operator.page.locator("#ca-warming").get_by_role("button", name="Cancel").click()
    expect(operator.page.locator("#ca-warming")).to_contain_text("Cancelled by support.", timeout=15_000)


def endless() -> Iterator[tuple[str, int]]:
    for number in range(10**9):
        time.sleep(0.0005)
        yield f"e:{number % 1000}", number


def test_the_page_has_no_faults_that_a_machine_finds(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}/admin/cache_admin/cache/warmers/?alias=default")
    operator.page.get_by_role("button", name="Run the group catalogue").click()
    expect(operator.page.locator("#ca-warming")).to_contain_text("supplier", timeout=15_000)
    expect(operator.page.locator(".ca-warmers")).to_contain_text("40 of 40", timeout=15_000)
    results = Axe().run(operator.page, context=".ca")
    assert results.violations_count == 0, results.generate_report()

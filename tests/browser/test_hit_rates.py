"""Task 7 of the task book, on counts that the test really records, and a page that lives without jumping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import redis
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import caches
from django.db.models import F
from playwright.sync_api import expect

from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import flushing, instrument, rollup
from cache_admin.monitoring.recorder import recorder
from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser


def visit(found: int, missed: int) -> None:
    """So many look-ups of products, counted and written down as a process of the site does it."""
    with instrument.listening(recorder.record):
        for i in range(found):
            assert caches["default"].get(f"product:{i % 120}")
        for i in range(missed):
            assert caches["default"].get(f"product:{1_000 + i}") is None
    assert flushing.flush()


@pytest.fixture
def asked(shop: redis.Redis, operator: Operator, settings: Any) -> Iterator[None]:
    """40 minutes ago three quarters of the products were found, now 30 of 100 are."""
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RECORDING": True}
    flushing.forget()
    visit(90, 30)
    Usage.objects.update(at=F("at") - 2_400)  # what passes in between is only time
    visit(30, 70)
    rollup.run()
    Deploy.objects.create(label="v42", at=Usage.objects.latest("at").at - 600)
    yield
    flushing.forget()


def test_task_7_the_hit_rate_of_products_in_the_last_hour_and_where_it_goes(operator: Operator, asked: None) -> None:
    operator.click("Caches")
    links = operator.page.locator(".ca-row", has_text="default").get_by_role("link", name="Hit rates")
    operator.click_on(links.first)
    row = operator.page.locator("table.ca-rates tbody tr", has_text="product:").first
    expect(row).to_contain_text("54.5\u00a0%")  # 120 of 220
    expect(row).to_contain_text("−45.0 points, worse")  # noqa: RUF001
    assert operator.clicks <= 2
    operator.click_on(row.locator(".ca-open"))
    opened = operator.page.locator(".ca-detail:not(:empty)")
    expect(opened).to_contain_text("of 220 look-ups")
    expect(opened.locator("canvas")).to_be_visible()
    expect(opened).to_contain_text("deploy v42")
    assert operator.clicks <= 3


def test_figures_change_in_place_and_an_opened_row_stays(operator: Operator, asked: None) -> None:
    page = operator.page
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/hit-rates/")
    row = page.locator("table.ca-rates tbody tr", has_text="product:").first
    row.locator(".ca-open").click()
    opened = page.locator(".ca-detail:not(:empty)")
    expect(opened).to_contain_text("of 220 look-ups")
    page.locator("#ca-twin-rate > summary").click()
    row.locator(".ca-open").focus()
    before = row.bounding_box()
    page.evaluate("document.querySelector('#ca-chart-rate canvas').kept = true")
    visit(100, 0)
    expect(row).to_contain_text("68.8\u00a0%", timeout=10_000)  # 220 of 320
    expect(opened).to_contain_text("of 320 look-ups", timeout=10_000)
    expect(row.locator(".ca-open")).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#ca-twin-rate")).to_have_attribute("open", "")
    assert row.bounding_box() == before
    assert page.evaluate("document.activeElement.classList.contains('ca-open')")
    assert page.evaluate("document.querySelector('#ca-chart-rate canvas').kept")
    row.locator(".ca-open").click()
    expect(opened).to_have_count(0)


def test_a_row_opens_while_the_page_is_being_refreshed(operator: Operator, asked: None) -> None:
    page = operator.page
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/hit-rates/")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_load_state("networkidle")
    page.evaluate(
        "document.body.dispatchEvent(new CustomEvent('ca:refresh')); document.querySelector('.ca-open').click()"
    )
    expect(page.locator(".ca-detail:not(:empty)")).to_contain_text("of 220 look-ups")
    expect(page.locator(".ca-open").first).to_have_attribute("aria-expanded", "true")


def test_the_filter_survives_the_refresh(operator: Operator, asked: None) -> None:
    page = operator.page
    with instrument.listening(recorder.record):
        caches["default"].get("user:7:settings")
    assert flushing.flush()
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/hit-rates/")
    page.get_by_label("Filter", exact=True).fill("prod")
    page.wait_for_url("**q=prod**")
    table = page.locator("table.ca-rates")
    expect(table).not_to_contain_text("user:")
    with page.expect_response(lambda response: "hit-rates" in response.url and "q=prod" in response.url):
        pass
    expect(table).to_contain_text("product:")
    expect(table).not_to_contain_text("user:")
    expect(page.get_by_label("Filter", exact=True)).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_filled_page_passes_the_accessibility_rules_and_fits(
    operator: Operator, asked: None, scheme: Literal["light", "dark"]
) -> None:
    page = operator.page
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/hit-rates/")
    page.locator(".ca-open").first.click()
    expect(page.locator(".ca-detail:not(:empty) canvas")).to_be_visible()
    results = Axe().run(page, context=".ca", options={"runOnly": ["wcag2a", "wcag2aa"]})
    assert [(v["id"], v["nodes"][0]["html"][:160]) for v in results.response["violations"]] == []
    page.set_viewport_size({"width": 390, "height": 850})
    page.wait_for_function("document.querySelector('.ca').scrollWidth <= document.querySelector('.ca').clientWidth")

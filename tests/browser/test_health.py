"""A finding is read, its link followed, muted with a reason, and still muted after a reload."""

from __future__ import annotations

import re

import pytest
import redis
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import caches
from playwright.sync_api import expect

from cache_admin.models import MutedFinding
from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser


@pytest.fixture
def endless(shop: redis.Redis) -> redis.Redis:
    caches["default"].set_many({f"user:{i}:profile": {"name": f"User {i}"} for i in range(300)}, None)
    return shop


def test_a_finding_is_read_followed_and_muted(operator: Operator, endless: redis.Redis) -> None:
    page = operator.page
    operator.click("Caches")
    operator.click("default")
    expect(page.locator("#ca-card-health")).to_contain_text("no memory limit")
    operator.click("Health")
    finding = page.locator(".ca-finding", has_text="never expire")
    expect(finding).to_contain_text("300 keys of user:*:profile never expire, and nothing evicts them")
    expect(finding).to_contain_text("of the memory of this cache")
    assert operator.clicks <= 3

    operator.click_on(finding.get_by_role("link", name="Open its leftovers"))
    expect(page.get_by_role("heading", name="Keys that never expire")).to_be_visible()
    page.go_back()

    operator.click_on(finding.locator("summary"))
    finding.get_by_label("Why it need not be told again").fill("Profiles are few and wanted.")
    operator.click_on(finding.get_by_role("button", name="Mute this finding"))
    expect(page.locator(".ca-sentence")).to_contain_text("One thing needs a look.")
    page.reload()
    expect(page.locator("ol.ca-health").first).not_to_contain_text("never expire")
    muted = page.locator("#muted")
    operator.click_on(muted.locator("summary"))
    expect(muted).to_contain_text(re.compile(r"Muted by support on .*: Profiles are few and wanted\."))

    operator.click_on(muted.get_by_role("button", name="Unmute"))
    expect(page.locator("ol.ca-health").first).to_contain_text("never expire")
    assert not MutedFinding.objects.exists()


def test_without_a_reason_the_browser_sends_nothing(operator: Operator, endless: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/health/")
    finding = operator.page.locator(".ca-finding", has_text="no memory limit")
    finding.locator("summary").click()
    finding.get_by_role("button", name="Mute this finding").click()
    assert finding.get_by_label("Why it need not be told again").evaluate("field => field.validity.valueMissing")
    assert not MutedFinding.objects.exists()


def test_it_works_without_javascript(operator: Operator, endless: redis.Redis, browser) -> None:
    context = browser.new_context(java_script_enabled=False, storage_state=operator.page.context.storage_state())
    page = context.new_page()
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/health/")
    finding = page.locator(".ca-finding", has_text="no memory limit")
    finding.locator("summary").click()
    finding.get_by_label("Why it need not be told again").fill("It has a machine of its own.")
    finding.get_by_role("button", name="Mute this finding").click()
    page.locator("#muted summary").click()
    page.get_by_role("button", name="Unmute").click()
    expect(page.locator("ol.ca-health").first).to_contain_text("no memory limit")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_is_accessible(operator: Operator, endless: redis.Redis, width: int) -> None:
    page = operator.page
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{operator.base}/admin/cache_admin/cache/alias/default/health/")
    page.locator(".ca-finding summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".ca-finding").first.evaluate("it => it.scrollWidth <= it.clientWidth")
    found = Axe().run(page, context=".ca").response["violations"]
    assert [one["id"] for one in found] == []

"""The page lives: it survives the server, resumes what was cut off, and needs no mouse."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
import redis
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.utils import timezone
from embedded import Server
from playwright.sync_api import expect

from cache_admin.models import Operation
from cache_admin.monitoring import deploys
from cache_admin.operations import runner
from cache_admin.operations.purge import plan
from cache_admin.operations.targets import Target
from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser
HOME = "/admin/cache_admin/cache/"
PAGES = ("", "alias/default/", "alias/default/patterns/", "alias/default/keys/", "alias/default/large-keys/",
         "alias/default/hit-rates/",
         "alias/default/invalidate/?kind=glob&target=product:*", "operations/")  # fmt: skip


def test_page_stays_usable_while_the_server_is_silent_and_recovers(
    operator: Operator, shop: redis.Redis, server: Server
) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/")
    memory = operator.page.locator("#ca-card-memory")
    expect(memory).to_contain_text("B", timeout=10_000)
    assert server.process
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        expect(operator.page.locator("main")).to_contain_text("not answer", timeout=20_000)
        expect(memory).to_be_visible()
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    expect(operator.page.locator("main")).not_to_contain_text("not answering", timeout=15_000)


def test_page_says_that_the_server_was_killed_and_goes_on_when_it_is_back(
    operator: Operator, shop: redis.Redis, server: Server
) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/")
    memory = operator.page.locator("#ca-card-memory")
    expect(memory).to_contain_text("B", timeout=10_000)
    top = operator.page.locator(".ca-tabs").bounding_box()
    server.kill()
    try:
        expect(memory).to_contain_text("refused connection", timeout=10_000)
        expect(operator.page.locator(".ca-headline")).to_contain_text("refused connection", timeout=10_000)
        assert operator.page.locator(".ca-tabs").bounding_box() == top, "nothing jumps"
    finally:
        server.start()
    expect(memory).not_to_contain_text("refused connection", timeout=15_000)
    expect(operator.page.locator(".ca-headline")).not_to_contain_text("refused connection", timeout=15_000)
    caches["default"].set("product:1", 1)
    operator.page.goto(f"{operator.base}{HOME}alias/default/keys/?q=product")
    operator.sees("product:1")


def test_an_operation_whose_process_was_killed_goes_on_under_its_page(
    operator: Operator, shop: redis.Redis, staff: User
) -> None:
    row, _ = runner.begin(plan("default", [Target.glob("product:*")], staff), staff)
    operator.page.goto(f"{operator.base}{HOME}operations/{row.pk}/")
    operator.sees("Running")
    assert shop.dbsize() == 232, "nobody takes over before the lease has run out"
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    operator.sees("150 keys deleted")
    assert shop.dbsize() == 82


def test_a_permission_taken_away_is_told_and_the_page_keeps_what_it_shows(
    operator: Operator, shop: redis.Redis, staff: User
) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/")
    memory = operator.page.locator("#ca-card-memory")
    expect(memory).to_contain_text("B", timeout=10_000)
    staff.user_permissions.clear()
    expect(operator.page.locator("#ca-notice")).to_contain_text("permission cache_admin.view_cache", timeout=10_000)
    expect(memory).to_contain_text("B")


def test_a_page_with_an_old_token_asks_to_be_reloaded(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/invalidate/")
    operator.page.context.clear_cookies(name="csrftoken")
    operator.page.get_by_label("Glob or key").fill("product:*")
    expect(operator.page.locator("#ca-notice")).to_contain_text("out of date", timeout=10_000)


def test_an_expired_session_sends_the_whole_page_to_the_login(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/")
    Session.objects.all().delete()
    operator.page.wait_for_url("**/admin/login/?next=*", timeout=10_000)
    assert operator.page.url.endswith("alias%2Fdefault%2F")


@pytest.mark.parametrize("path", ["", "alias/default/hit-rates/", "deploys/", "rules/", "levels/", "operations/"])
def test_other_pages_that_refresh_go_to_the_login_too(operator: Operator, shop: redis.Redis, path: str) -> None:
    deploys.mark("1.0")
    operator.page.goto(f"{operator.base}{HOME}{path}")
    operator.page.wait_for_load_state("networkidle")
    Session.objects.all().delete()
    operator.page.wait_for_url("**/admin/login/?next=*", timeout=10_000)


def test_a_running_operation_whose_watcher_was_signed_out_goes_to_the_login(
    operator: Operator, shop: redis.Redis, staff: User
) -> None:
    row, _ = runner.begin(plan("default", [Target.glob("product:*")], staff), staff)
    operator.page.goto(f"{operator.base}{HOME}operations/{row.pk}/")
    operator.sees("Running")
    Session.objects.all().delete()
    operator.page.wait_for_url("**/admin/login/?next=*", timeout=10_000)
    assert operator.page.url.endswith(f"{row.pk}%2F"), "not the address that was polled"


HIDDEN = "Object.defineProperty(document, 'hidden', {get: () => window.caHidden === true, configurable: true})"


def test_a_hidden_tab_asks_nothing_and_a_visible_one_goes_on(
    operator: Operator, shop: redis.Redis, staff: User
) -> None:
    row, _ = runner.begin(plan("default", [Target.glob("product:*")], staff), staff)
    page, asked = operator.page, []
    page.add_init_script(HIDDEN)
    page.on("request", lambda request: asked.append(request.url))
    for path in ("", "alias/default/", "alias/default/hit-rates/", f"operations/{row.pk}/"):
        page.goto(f"{operator.base}{HOME}{path}")
        page.wait_for_load_state("networkidle")
        page.evaluate("window.caHidden = true; document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(500)
        asked.clear()
        page.wait_for_timeout(2_500)
        assert asked == [], path
        page.evaluate("window.caHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(2_500)
        assert asked, path


def test_keyboard_reaches_search_and_rows(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/patterns/")
    operator.page.keyboard.press("j")
    assert operator.page.evaluate("document.activeElement.hasAttribute('data-ca-row')")
    operator.page.keyboard.press("/")
    assert operator.page.evaluate("document.activeElement.hasAttribute('data-ca-search')")
    operator.page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_screen(operator: Operator, shop: redis.Redis, width: int) -> None:
    operator.page.set_viewport_size({"width": width, "height": 850})
    for path in PAGES:
        operator.page.goto(f"{operator.base}{HOME}{path}")
        operator.page.wait_for_load_state("networkidle")
        overflow = operator.page.evaluate(
            "document.querySelector('.ca').scrollWidth - document.querySelector('.ca').clientWidth"
        )
        assert overflow <= 0, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_pass_the_accessibility_rules(operator: Operator, shop: redis.Redis, scheme: str) -> None:
    operator.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = []
    for path in PAGES:
        operator.page.goto(f"{operator.base}{HOME}{path}")
        operator.page.wait_for_timeout(600)
        results = Axe().run(operator.page, context=".ca", options={"runOnly": ["wcag2a", "wcag2aa"]})
        found += [(path, v["id"], v["nodes"][0]["html"][:160]) for v in results.response["violations"]]
    assert not found


def test_the_end_of_a_scan_is_told_to_those_who_listen(operator: Operator, shop: redis.Redis) -> None:
    operator.page.goto(f"{operator.base}{HOME}alias/default/patterns/")
    said = operator.page.get_by_role("status").and_(operator.page.locator("#ca-said"))
    expect(said).to_be_empty()
    operator.click("Scan everything", role="button")
    expect(said).to_contain_text("Scan every key of default. Done Looked at", timeout=10_000)
    expect(operator.page.locator("#ca-patterns")).to_contain_text("Complete scan of")

"""A real Chromium on a live server, signed in as a staff user, counting clicks as the task book does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from cache_admin.keyspace import reports

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser(chromium: str, django_db_setup: None) -> Iterator[Browser]:
    """Playwright's sync API runs an event loop in this thread, which Django would refuse to share with the ORM. It
    may until the browser is closed, so that the tests of other modules find neither loop nor leave."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@dataclass
class Operator:
    """A signed-in person at the admin index. ``click`` and ``fill`` count; looking and the Enter key do not."""

    page: Page
    base: str
    clicks: int = 0
    errors: list[str] = field(default_factory=list)

    def click(self, name: str, role: str = "link", within: str = "main") -> None:
        self.click_on(self.page.locator(within).get_by_role(role, name=name, exact=True).first)

    def click_on(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def fill(self, label: str, text: str) -> None:
        self.clicks += 1
        self.page.get_by_label(label).first.fill(text)

    def enter(self) -> None:
        self.page.keyboard.press("Enter")

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()


@pytest.fixture
def shop(raw: redis.Redis, transactional_db: None) -> redis.Redis:
    """A small shop's keys in ``default``: products that expire, profiles that never do, one large report, sessions."""
    reports.forget()
    cache = caches["default"]
    cache.set_many({f"product:{i}": {"name": f"Product {i}", "price": i} for i in range(120)}, 3600)
    cache.set_many({f"product:{i}:reviews": ["good"] * 3 for i in range(30)}, 600)
    cache.set_many(
        {f"user:{i}:profile": {"email": f"u{i}@shop.example", "notes": os.urandom(900)} for i in range(80)}, None
    )
    cache.set("report:sales", os.urandom(60_000), 86_400)
    cache.set("user:7:settings", {"theme": "dark", "password": "hunter2"}, 3600)
    return raw


@pytest.fixture
def staff(transactional_db: None) -> User:
    user = User.objects.create_user("support", password="support", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="cache_admin"))
    return user


def strict_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: the strictest policy a site may have. What the browser blocks by it fails the test."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; base-uri 'none'; form-action 'self'"
        return response

    return respond


@pytest.fixture
def operator(browser: Browser, live_server: LiveServer, staff: User, client, settings) -> Iterator[Operator]:
    settings.CACHE_ADMIN = {"RUNNER": "thread", "REFRESH_SECONDS": 1}
    settings.MIDDLEWARE = ["tests.browser.conftest.strict_policy", *settings.MIDDLEWARE]
    client.force_login(staff)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    page.set_default_timeout(15_000)
    operator = Operator(page, live_server.url)
    page.on("pageerror", lambda error: operator.errors.append(str(error)))
    page.on("console", lambda said: "Security Policy" in said.text and operator.errors.append(said.text))
    page.goto(f"{live_server.url}/admin/")
    yield operator
    context.close()
    assert operator.errors == []

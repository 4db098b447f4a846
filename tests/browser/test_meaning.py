"""Tasks 5, 13 and 14 of the task book, done by a person in a browser, within their clicks."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cached_db import SessionStore
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.views.decorators.cache import cache_page
from pytest_django.live_server_helper import LiveServer

from cache_admin.caching import cache_result
from cache_admin.caching.views import cache_per_user
from cache_admin.models import Operation
from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser
PRICE = {"tea": 9}


@cache_result(300, key="browser:price:{name}")
def price(name: str) -> dict[str, Any]:
    return {"name": name, "price": PRICE[name], "stock": 3}


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page")


def visit(live_server: LiveServer, path: str, user: User | None = None) -> None:
    """Somebody looks at a page that is kept in the alias ``core``."""
    request = RequestFactory(headers={"host": live_server.url.partition("//")[2]}).get(path)
    if user is None:
        cache_page(600, cache="core")(answer)(request)
    else:
        request.user = user
        cache_per_user(600, alias="core")(answer)(request)


def pages() -> int:
    client = caches["core"]._cache.get_client()
    found = sum(b"cache_page" in key for key in client.scan_iter("core:*"))
    client.close()
    return found


def test_task_5_all_about_a_customer_goes_in_one_go(
    operator: Operator, shop: redis.Redis, live_server: LiveServer, settings: Any
) -> None:
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = "django.contrib.sessions.backends.cached_db", "core"
    session = SessionStore()
    session["_auth_user_id"] = "42"
    session.save()
    customer = User.objects.create_user("anna", pk=42)
    caches["default"].set_many({"recommendations:user:42": [1], "user:421:profile": {"email": "else"}})
    visit(live_server, "/orders/", customer)
    visit(live_server, "/orders/", User.objects.create_user("ben", pk=421))
    operator.click("Caches")
    operator.click("all about a user")
    operator.fill("User", "42")
    operator.sees("Delete 2 keys")
    operator.sees("of user 42 from core")
    operator.sees("User 42 is anna.")
    operator.sees("Sessions of this user: 1.")
    operator.page.get_by_label("User", exact=True).press("Enter")
    operator.click("Delete 4 keys", role="button")
    operator.page.get_by_text("2 keys deleted").nth(1).wait_for()
    assert operator.clicks <= 5
    assert caches["default"].get_many(["user:42:profile", "recommendations:user:42"]) == {}
    assert caches["default"].get("user:421:profile")
    assert pages() == 1
    assert {(row.alias, row.done_keys, row.username) for row in Operation.objects.all()} == {
        ("default", 2, "support"),
        ("core", 2, "support"),
    }


def test_task_13_is_this_value_stale(operator: Operator, shop: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    price("tea")
    monkeypatch.setitem(PRICE, "tea", 12)
    before = shop.dump("shop:1:browser:price:tea")
    operator.click("Caches")
    operator.fill("Find a key or pattern in all caches", "browser:price:tea")
    operator.enter()
    operator.click("Open it")
    operator.click("Recompute and compare", role="button")
    operator.sees("The cached value is stale")
    rows = operator.page.locator("table.ca-difference tbody tr")
    shown = [row.inner_text().split() for row in rows.all()]
    assert ["\N{MINUS SIGN}", "cached", "price", "9", "int"] in shown
    assert ["+", "fresh", "price", "12", "int"] in shown
    assert ["=", "equal", "stock", "3", "int"] in shown
    assert operator.clicks <= 4
    assert shop.dump("shop:1:browser:price:tea") == before


def test_task_14_one_page_by_its_address(operator: Operator, shop: redis.Redis, live_server: LiveServer) -> None:
    visit(live_server, "/products/7/")
    visit(live_server, "/products/8/")
    operator.click("Caches")
    operator.click("a page")
    operator.fill("Address or path of the page", f"{live_server.url}/products/7/")
    operator.sees("Delete 2 keys")
    operator.page.get_by_label("Address or path of the page").press("Enter")
    operator.click("Delete 2 keys", role="button")
    operator.sees("2 keys deleted")
    assert operator.clicks <= 4
    assert pages() == 1


def test_task_14_one_fragment_by_its_name(operator: Operator, shop: redis.Redis) -> None:
    keys = [make_template_fragment_key("sidebar", [name]) for name in ("anna", "ben")]
    caches["default"].set_many(dict.fromkeys(keys, "<ul>"))
    operator.click("Caches")
    operator.click("a fragment")
    operator.fill("Name of the fragment", "sidebar")
    operator.sees("Delete 2 keys")
    operator.page.get_by_label("Name of the fragment").press("Enter")
    operator.click("Delete 2 keys", role="button")
    operator.sees("2 keys deleted")
    assert operator.clicks <= 4
    assert caches["default"].get_many(keys) == {}

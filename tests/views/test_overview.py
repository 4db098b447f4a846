"""All aliases on one page, and one name looked for in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client

from cache_admin import keys
from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.panels import base
from cache_admin.views.base import PERMISSIONS

from .conftest import SignIn, text, url

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    base._snapshots.clear()
    yield
    sampler.forget()


def commands(raw: redis.Redis) -> int:
    """Commands that the server has run, without this one."""
    return int(raw.info("stats")["total_commands_processed"])


def test_the_page_names_every_alias_and_touches_no_cache(client: Client, raw: redis.Redis, settings: Any):
    before = commands(raw)
    page = client.get(url("cache_changelist"))
    assert commands(raw) - before == 1
    for alias in settings.CACHES:
        assert f"{alias}</a>" in text(page)
    assert "Redis through django-redis" in text(page)
    assert "LocMemCache" in text(page) or "local memory" in text(page).lower()


def test_the_admin_index_leads_here(client: Client):
    assert url("cache_changelist") in text(client.get("/admin/"))


def test_every_kind_of_alias_fills_its_row(client: Client, cache: Any, settings: Any):
    cache.set_many({f"product:{i}": i for i in range(5)})
    for alias in settings.CACHES:
        row = client.get(url("card", alias, "summary"), headers=HTMX)
        assert row.status_code == 200
        assert "<html" not in text(row)
    assert "no memory limit" in text(client.get(url("card", "default", "summary")))
    assert "No server of its own" in text(client.get(url("card", "dummy", "summary")))
    contents = text(client.get(url("card", "default", "contents")))
    assert "product:" in contents


def refuse(key: str, prefix: str, version: int) -> str:
    if not key:
        raise RuntimeError("sw0rdfish")
    return key


@pytest.mark.parametrize(
    "entry",
    [{"BACKEND": "nowhere.Cache"}, {"BACKEND": "django.core.cache.backends.dummy.DummyCache", "KEY_FUNCTION": refuse}],
)
def test_an_alias_that_cannot_be_loaded_takes_nothing_else_down(
    client: Client, raw: redis.Redis, settings: Any, entry: dict[str, Any]
):
    settings.CACHES = {**settings.CACHES, "odd": entry}
    assert "its backend cannot be loaded" in text(client.get(url("cache_changelist")))
    page = client.get(url("dashboard", "odd"))
    assert page.status_code == 200
    assert "its backend cannot be loaded" in text(page)
    assert "sw0rdfish" not in text(page)


@pytest.mark.parametrize(
    "alias", ["a/b", "a%2Fb", "..", ".", "%", "ü ber", "a?b#c", "a&b=c", "<b>", "find", "operations"]
)
def test_any_name_of_an_alias_has_its_pages(client: Client, raw: redis.Redis, settings: Any, alias: str):
    settings.CACHES = {**settings.CACHES, alias: {**settings.CACHES["core"], "KEY_PREFIX": "odd"}}
    caches[alias].set("k", 1)
    assert client.get(url("cache_changelist")).status_code == 200
    for name in ("dashboard", "keys", "patterns", "invalidate"):
        page = client.get(url(name, alias))
        assert page.context["adapter"].alias == alias
        for _slug, _label, address in page.context["tabs"]:
            assert client.get(address).wsgi_request.GET.get("alias", alias) == alias
    assert "Operation" in text(client.post(url("census_start", alias), follow=True))
    assert Operation.objects.get().alias == alias


def test_a_silent_server_is_told_in_its_row(client: Client, settings: Any):
    entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": "unix:///nowhere/server.sock"}
    settings.CACHES = {**settings.CACHES, "gone": entry}
    row = client.get(url("card", "gone", "summary"))
    assert row.status_code == 200
    assert "refused connection" in text(row)
    assert client.get(url("cache_changelist")).status_code == 200


def test_the_last_operations_are_for_those_who_may_see_them(client: Client, sign_in: SignIn):
    Operation.objects.create(kind="purge", alias="default", summary="Delete 3 keys.", username="mia", nonce="1")
    assert "Delete 3 keys." in text(client.get(url("cache_changelist")))
    fragment = client.get(url("cache_changelist"), headers=HTMX)
    assert "Delete 3 keys." in text(fragment)
    assert "<html" not in text(fragment)
    assert "Delete 3 keys." not in text(sign_in("view_cache").get(url("cache_changelist")))


def test_what_is_not_permitted_is_shown_disabled_with_the_reason(sign_in: SignIn):
    page = text(sign_in("view_cache").get(url("cache_changelist")))
    assert url("invalidate", "default") not in page
    assert "Needs the permission cache_admin.invalidate." in page


@pytest.mark.parametrize("name", ["cache_changelist", "find", "dashboard", "card", "find_in"])
def test_without_permission_there_is_nothing(name: str, sign_in: SignIn):
    args = {"dashboard": ["default"], "card": ["default", "memory"], "find_in": ["default"]}.get(name, [])
    others = [codename for codename in PERMISSIONS if codename != "view_cache"]
    assert sign_in(*others).get(url(name, *args)).status_code == 403


def test_find_asks_each_cache_by_itself(client: Client, settings: Any):
    page = text(client.get(url("find"), {"q": "product:1&x"}))
    for alias in settings.CACHES:
        assert f"{url('find_in', alias)}?q=product%3A1%26x" in page


def test_an_exact_key_is_found_and_linked(client: Client, cache: Any):
    cache.set_many({"product:1": 1, "product:12": 1, "other": 1})
    found = text(client.get(url("find_in", "default"), {"q": "product:1"}))
    assert "This exact key is here." in found
    assert url("key", "default", keys.token(b"shop:1:product:1")) in found
    assert "product:12" in found
    assert "other" not in found
    assert "No key of exactly this name." in text(client.get(url("find_in", "core"), {"q": "product:1"}))


def test_a_pattern_is_listed_but_not_looked_up(client: Client, cache: Any):
    cache.set_many({"product:1": 1, "price:1": 1})
    found = text(client.get(url("find_in", "default"), {"q": "pro*1"}))
    assert "product:1" in found
    assert "price" not in found
    assert "exactly" not in found


@pytest.mark.parametrize("q", ["", "a*b*" * 20, "x\\", "x" * 300])
def test_what_cannot_be_a_pattern_is_said(q: str, client: Client, raw: redis.Redis):
    found = client.get(url("find_in", "default"), {"q": q})
    assert found.status_code == 200


def test_a_cache_that_cannot_list_answers_for_the_exact_key(client: Client):
    caches["locmem"].set("here", 1)
    assert "This exact key is here." in text(client.get(url("find_in", "locmem"), {"q": "here"}))
    assert "cannot list its keys" in text(client.get(url("find_in", "locmem"), {"q": "here*"}))


def test_a_session_key_is_masked(client: Client, cache: Any):
    cache.set("django.contrib.sessions.cacheabcdefghijklmnopqrstuvwxyz012345", 1)
    found = text(client.get(url("find_in", "default"), {"q": "django.contrib.sessions*"}))
    assert "abcdefgh" in found
    assert "wxyz012345" not in found


def test_markup_in_a_key_stays_text(client: Client, cache: Any):
    cache.set('<script>alert(1)</script>" hx-get="/x', 1)
    found = text(client.get(url("find_in", "default"), {"q": "<script>*"}))
    assert "&lt;script&gt;" in found
    assert "<script>" not in found
    assert 'hx-get="/x' not in found

"""Aliases whose keys are spelled in odd ways: nothing of anybody else is listed as theirs, or goes with them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client

from .conftest import text, url

FOREIGN = {b"celery", b"other:1:product:1", b":2:product:4", b"aXbY:c:1:product:3", b"b:c:1:product:3"}


def hashed(key: str, prefix: str, version: int) -> str:
    return f"{prefix}:{version}:{hashlib.md5(key.encode()).hexdigest()}"


def clear(client: Client, **wish: str) -> object:
    asked = client.post(url("invalidate_confirm", "odd"), wish)
    token = asked.context.get("token")
    return client.post(url("invalidate_confirm", "odd"), {"token": token, "typed": "odd"}) if token else asked


@pytest.fixture(params=["", "a[b]*:c", "a\\b", "ü", '<b>"', "x:1"])
def odd(request: pytest.FixtureRequest, raw: redis.Redis, settings: Any) -> str:
    settings.CACHES = {**settings.CACHES, "odd": {**settings.CACHES["default"], "KEY_PREFIX": request.param}}
    raw.mset(dict.fromkeys(FOREIGN, b"foreign"))
    caches["odd"].set_many({f"product:{number}": number for number in range(20)})
    caches["odd"].set("product:1", 1, version=99)
    return str(request.param)


def test_a_glob_and_the_whole_alias_take_own_keys_only(client: Client, raw: redis.Redis, odd: str) -> None:
    clear(client, kind="glob", target="product:?")
    assert len(caches["odd"].get_many([f"product:{number}" for number in range(20)])) == 10
    clear(client, kind="alias")
    assert set(raw.keys()) == FOREIGN | {f"{odd}:99:product:1".encode()}


def test_every_page_lists_them(client: Client, odd: str) -> None:
    for name in ("dashboard", "patterns", "keys", "large_keys", "invalidate", "find_in"):
        assert client.get(url(name, "odd"), {"q": "product"}).status_code == 200
    assert client.get(url("keys", "odd")).context["listing"].total == 26
    assert len(client.get(url("keys", "odd")).context["rows"]) == 20


def test_hashed_names_are_only_looked_up_exactly(client: Client, raw: redis.Redis, settings: Any) -> None:
    odd = {**settings.CACHES["default"], "KEY_FUNCTION": hashed}
    settings.CACHES = {**settings.CACHES, "odd": odd}
    raw.mset(dict.fromkeys(FOREIGN, b"foreign"))
    caches["odd"].set_many({"a": 1, "b": 2})
    for wish in ({"kind": "glob", "target": "*"}, {"kind": "alias"}):
        assert "cannot be read backwards" in text(clear(client, **wish))
    clear(client, kind="literal", target="a")
    assert caches["odd"].get_many(["a", "b"]) == {"b": 2}
    assert raw.dbsize() == len(FOREIGN) + 1

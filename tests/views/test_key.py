from __future__ import annotations

import random
from typing import Any

import pytest
import redis
from django.core.cache import BaseCache, caches
from django.test import Client

from cache_admin import keys
from cache_admin.models import Operation
from tests.views.conftest import SignIn, key_url, text, url

HOSTILE = [
    b"<script>alert(1)</script>",
    b'" hx-get="/x',
    b"{{7*7}}{% load static %}",
    b"javascript:alert(1)",
    b"../../etc/passwd",
    b"a/b?c=d#e%2F%00",
    b"\xff\xfe\x00\x01",
    "\u202eevil \U0001f4a9".encode(),
    b"line\r\nbreak\ttab",
    b"",
    b"x" * 65_536,
]


def test_a_value_is_shown_without_running_it(client: Client, cache: BaseCache) -> None:
    cache.set("product:1", {"id": 1, "name": "Tea"}, 600)
    page = text(client.get(key_url(b"shop:1:product:1")))
    for fact in ("product:", "Tea", "pickle", "zlib", "version 1", "Expires"):
        assert fact in page


def test_of_a_long_value_the_beginning_is_shown_and_its_length_told(client: Client, cache: BaseCache) -> None:
    cache.set("report:pdf", random.Random(1).randbytes(500_000), 600)
    page = text(client.get(key_url(b"shop:1:report:pdf"))).replace("\xa0", " ")
    for fact in ("pickle", "zlib", "Only the first 64.0 KB of 488.", "bytes · the first 2000 of 500000 bytes"):
        assert fact in page


def test_a_value_needs_its_permission(sign_in: SignIn, cache: BaseCache) -> None:
    cache.set("product:1", {"name": "Darjeeling"})
    page = text(sign_in("view_cache").get(key_url(b"shop:1:product:1")))
    assert "cache_admin.view_values" in page
    assert "Darjeeling" not in page


@pytest.mark.parametrize("name", HOSTILE, ids=[repr(name[:20]) for name in HOSTILE])
def test_a_hostile_name_is_only_text_and_opens_and_deletes(client: Client, raw: redis.Redis, name: bytes) -> None:
    key = b"shop:1:" + name
    raw.set(key, b"x")
    pages = [
        client.get(key_url(key)),
        *(client.get(url(page, "default")) for page in ("keys", "patterns", "large_keys")),
        client.post(url("invalidate_preview", "default"), {"kind": "alias"}),
        client.get(url("keys", "default"), {"exact": name.decode("utf-8", "replace")}),
    ]
    for page in pages:
        assert page.status_code == 200
        shown = text(page)
        assert "<script>alert" not in shown
        assert '" hx-get="/x' not in shown
        assert 'href="javascript' not in shown
        assert "\u202e" not in shown.replace('value="\u202e', "")  # a field keeps what was typed into it
        assert "49" not in shown or b"7*7" not in name or "{{7*7}}" in shown
    assert raw.exists(key)
    client.post(key_url(key, name="key_change"), {"verb": "delete", "reason": "test"})
    assert not raw.exists(key)


def test_a_hostile_value_is_only_text(client: Client, raw: redis.Redis) -> None:
    raw.set("shop:1:page", b"<svg onload=alert(1)><script>alert(1)</script>{{7*7}}")
    page = text(client.get(key_url(b"shop:1:page")))
    assert "<svg onload" not in page
    assert "<script>alert" not in page


def test_a_key_that_went_in_between_is_said_to_be_gone(client: Client, raw: redis.Redis) -> None:
    response = client.get(key_url(b"shop:1:gone"))
    assert response.status_code == 200
    assert "This key is gone" in text(response)


@pytest.mark.parametrize("token", ["***", "a", "c2hvcA=="])
def test_a_broken_link_is_not_found(client: Client, raw: redis.Redis, token: str) -> None:
    assert client.get(f"/admin/cache_admin/cache/alias/default/keys/{token}/").status_code == 404


def test_a_collection_is_shown_a_window_at_a_time(client: Client, raw: redis.Redis) -> None:
    raw.rpush("shop:1:list", *(f"entry-{i}-" for i in range(250)))
    first = text(client.get(key_url(b"shop:1:list")))
    assert "entry-99-" in first
    assert "entry-100-" not in first
    assert "100 of 250 entries" in first
    second = text(client.get(key_url(b"shop:1:list"), {"entries": "200"}))
    assert "entry-199-" in second
    assert "entry-200-" not in second
    for entries in ("-1", "abc", "9" * 40, "999999"):
        assert client.get(key_url(b"shop:1:list"), {"entries": entries}).status_code == 200


def test_expiry_is_set_and_removed_with_a_record(client: Client, raw: redis.Redis) -> None:
    raw.set("shop:1:a", "x")
    path = key_url(b"shop:1:a", name="key_change")
    client.post(path, {"verb": "expire", "seconds": "90", "reason": "too old"})
    assert 80 < raw.ttl("shop:1:a") <= 90
    client.post(path, {"verb": "persist"})
    assert raw.ttl("shop:1:a") == -1
    assert list(Operation.objects.order_by("created").values_list("reason", "username")) == [
        ("too old", "operator"),
        ("", "operator"),
    ]


@pytest.mark.parametrize("seconds", ["", "0", "-5", "abc", "1e9", "9" * 30, "²"])
def test_senseless_seconds_change_nothing(client: Client, raw: redis.Redis, seconds: str) -> None:
    raw.set("shop:1:a", "x")
    response = client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "expire", "seconds": seconds})
    assert response.status_code == 200
    assert "1 second to 365 days" in text(response)
    assert raw.ttl("shop:1:a") == -1


def test_an_unknown_verb_changes_nothing(client: Client, raw: redis.Redis) -> None:
    raw.set("shop:1:a", "x")
    assert client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "flushall"}).status_code == 400
    assert raw.exists("shop:1:a")


def test_what_is_not_permitted_is_shown_disabled_with_the_reason(sign_in: SignIn, raw: redis.Redis) -> None:
    raw.mset({"shop:1:a": "x", "shop:1:lock:a": "x"})
    viewer = sign_in("view_cache")
    assert "cache_admin.invalidate" in text(viewer.get(key_url(b"shop:1:a")))
    assert viewer.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete"}).status_code == 403
    deleter = sign_in("view_cache", "invalidate", name="max")
    assert "cache_admin.invalidate_protected" in text(deleter.get(key_url(b"shop:1:lock:a")))
    assert deleter.post(key_url(b"shop:1:lock:a", name="key_change"), {"verb": "delete"}).status_code == 403
    assert raw.exists("shop:1:a", "shop:1:lock:a") == 2


def test_a_key_of_a_cache_that_only_looks_up_can_be_deleted(client: Client) -> None:
    caches["locmem"].set("a", 1)
    key = caches["locmem"].make_key("a").encode()
    assert "Present" in text(client.get(key_url(key, "locmem")))
    client.post(key_url(key, "locmem", "key_change"), {"verb": "delete"})
    assert not caches["locmem"].has_key("a")
    assert client.get(key_url(key, "locmem")).status_code == 200


def test_a_session_is_named_by_its_first_letters(client: Client, raw: redis.Redis) -> None:
    key = b"shop:1:django.contrib.sessions.cache" + b"abcdefghijklmnopqrstuvwxyz012345"
    raw.set(key, "x")
    page = text(client.get(key_url(key)))
    assert "abcdefghijklmnopqrstuvwxyz012345" not in page.replace(keys.token(key), "")
    assert "abcdefgh" in page


def test_an_expiry_that_may_not_be_asked_for_is_unknown(client: Client, raw: redis.Redis, settings: Any) -> None:
    raw.set("shop:1:a", 1, ex=60)
    raw.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-pttl"])
    default = settings.CACHES["default"]
    location = default["LOCATION"].replace("unix://", "unix://blind:any@")
    settings.CACHES = {**settings.CACHES, "default": {**default, "LOCATION": location}}
    page = text(client.get(key_url(b"shop:1:a")))
    raw.acl_deluser("blind")
    assert "<dt>Expires</dt><dd>—</dd>" in page
    assert "not permitted: +pttl" in page

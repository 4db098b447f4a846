"""Values, names and neighbours that mean harm, or that harm could come to, as the pages show them."""

from __future__ import annotations

import lzma
import pickle
import re
import time
import zlib
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import redis
import zstandard
from django.core.cache import caches
from django.test import Client

from cache_admin import keys
from cache_admin.adapters import adapter
from cache_admin.models import Operation, Usage
from cache_admin.monitoring.usage import encoded
from cache_admin.patterns import fold
from tests.views.conftest import key_url, text, url
from tests.views.test_key import HOSTILE

SECRETS = {
    "password": "hunter2hunter2",
    "card": "4111 1111 1111 1111",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}


class Command:
    def __init__(self, line: str) -> None:
        self.line = line

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.system, (self.line,)


def laughs() -> bytes:
    """Nine lists, each of ten times the one before."""
    return b"\x80\x04]\x94" + b"".join([b"]\x94(" + b"h%c" % number * 10 + b"e" for number in range(9)]) + b"."


def itself() -> bytes:
    held: list[object] = []
    held.append(held)
    return pickle.dumps(held)


VALUES: dict[str, tuple[bytes, str]] = {
    "command": (b"", r"calls \w+\.system"),
    "memo bomb": (b"\x80\x04I1\nr\xff\xff\xff\x7f.", r"pickle|malformed|hex"),
    "laughs": (laughs(), r"list"),
    "itself": (itself(), r"list"),
    "truncated": (pickle.dumps({"a": list(range(100))})[:80], r"(malformed|truncated|ends|breaks off)"),
    "garbage": (b"\x80\x04\xff\xfe\x00garbage", r"malformed at byte|unknown"),
    "missing app": (b"\x80\x04cgone.models\nThing\n)\x81}\x8c\x01aK\x01sb.", r"gone\.models\.Thing"),
    "zlib bomb": (zlib.compress(b"\0" * (64 << 20), 9), r"over 1\.?0? Mi?B|cut|first"),
    "zstd bomb": (zstandard.compress(b"\0" * (64 << 20)), r"over 1\.?0? Mi?B|cut|first"),
    "lzma": (lzma.compress(b"x" * 1000, preset=9), r"xxxx|lzma"),
    "nested": (zlib.compress(zlib.compress(b"inner text that is hidden", 9), 9), r"zlib"),
    "bad checksum": (zlib.compress(b"some text " * 20)[:-4] + b"\0\0\0\0", r"not zlib|checksum"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, r"too deep"),
    "number": (b"42", r"42"),
    "markup": (b"<svg onload=alert(1)><script>alert(1)</script>", r"svg onload"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_shown_in_time_and_nothing_of_it_runs(
    client: Client, raw: redis.Redis, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "marker"
    data, said = VALUES[name]
    if name == "command":
        data = pickle.dumps(Command(f"touch {marker}"))
    raw.set("shop:1:product:1", data)
    began = time.monotonic()
    response = client.get(key_url(b"shop:1:product:1"))
    assert time.monotonic() - began < 2
    page = text(response)
    assert response.status_code == 200
    assert re.search(said, unescape(page)), re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.partition("Value")[2]))[
        :800
    ]
    assert "<svg onload" not in page
    assert "<script>alert" not in page
    assert not marker.exists()
    assert raw.get("shop:1:product:1") == data
    assert len(page) < 700_000


def test_secrets_in_a_value_are_masked_with_the_rest_left_readable(client: Client, cache: Any) -> None:
    cache.set("user:7:settings", {**SECRETS, "theme": "dark"})
    page = text(client.get(key_url(b"shop:1:user:7:settings")))
    assert "dark" in page
    for secret in SECRETS.values():
        assert secret not in page


def test_names_that_the_application_asked_for_are_only_text_on_the_pages_of_counts(
    client: Client, raw: redis.Redis, settings: Any
) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RECORDING": True}
    now = int(time.time()) // 60 * 60 - 120
    templates = [fold(name) for name in [*HOSTILE, b"=cmd|'/c calc'!A0", b"\x00" * 300, "ü:\U0001f4a9:7".encode()]]
    counts = {encoded(template): [50, 450, 20, 0, 0, 20, 5_000, 0, 0, 20, 90_000] for template in templates}
    for at in (now, now - 7_200, now - 9_000, now - 12_000, now - 16_000):
        Usage.objects.create(level=600 if at < now else 60, alias="default", at=at, source="", counts=counts)
    paths = [
        url("hit_rates", "default") + f"?sort={sort}&span={span}"
        for sort in ("pattern", "-lost")
        for span in ("1h", "24h")
    ]
    paths += [url("hit_rate", "default", keys.token(template)) for template in templates if len(template) < 2_000]
    paths += [url("health", "default"), url("patterns", "default"), url("card", "default", "hit_rate")]
    paths += [url("hit_rates_export", "default", kind) for kind in ("csv", "json")]
    for path in paths:
        response = client.get(path)
        assert response.status_code == 200, path
        page = text(response)
        assert "\u202e" not in page
        if "export" in path:
            assert not re.search(r"(?m)^[=+@-]", page)
            continue
        assert "<script>alert" not in page, path
        assert '" hx-get="/x' not in page, path
        assert 'href="javascript' not in page, path
        assert "{{7*7}}" in page or "7*7" not in page
    assert "&lt;script&gt;alert(" in text(client.get(url("hit_rates", "default")))


def test_a_listing_by_a_hostile_token_of_a_pattern_is_a_page(client: Client, raw: redis.Redis) -> None:
    raw.set("shop:1:product:1", "x")
    for template in (b"", b"\xff\x00", b"\x1a" * 400, b"*", b"\x01\x02", b"a" * 3_000, b"\xc4\x80:\x1a"):
        token = keys.token(template)
        for name in ("hit_rate", "pattern"):
            assert client.get(url(name, "default", token)).status_code in (200, 404)
        for name in ("keys", "invalidate"):
            assert client.get(url(name, "default"), {"template": token}).status_code == 200
    assert raw.exists("shop:1:product:1")


def test_the_queues_of_a_shared_database_stay_byte_identical(client: Client, raw: redis.Redis) -> None:
    """Whatever is done on any page to the keys of the alias beside them."""
    raw.rpush("celery", b"task 1", b"task 2")
    raw.rpush("celery\x06\x163", b"task 3")
    raw.hset("unacked", "tag", b"task")
    raw.zadd("unacked_index", {"tag": 1})
    raw.sadd("_kombu.binding.celery", b"celery\x06\x16\x06\x16celery")
    raw.set("rq:job:1", b"j"), raw.rpush("rq:queue:default", b"1"), raw.set("asgi:group:x", b"g")
    queues = {key: raw.dump(key) for key in raw.scan_iter()}
    caches["default"].set_many({f"product:{number}": number for number in range(50)}, None)
    caches["default"].set_many({"celery": 1, "unacked": 1, "rq:job:1": 1})
    for wish in (
        {"kind": "glob", "target": "*", "when": "spread", "seconds": "600", "protected": "1"},
        {"kind": "literal", "target": "celery"},
        {"kind": "glob", "target": "product:1*"},
        {"kind": "user", "target": "1"},
        {"kind": "fragment", "target": "celery"},
        {"kind": "alias", "protected": "1"},
    ):
        asked = client.post(url("invalidate_confirm", "default"), wish)
        if token := asked.context.get("token"):
            client.post(url("invalidate_confirm", "default"), {**wish, "token": token, "typed": "default"})
    for name in ("census_start", "values_start"):
        client.post(url(name, "default"), follow=True)
    for key in queues:
        for verb in ("delete", "expire", "persist"):
            data = {"verb": verb, "seconds": "5"}
            assert client.post(key_url(key, name="key_change"), data).status_code == 403
        assert client.get(key_url(key)).status_code == 200
    assert adapter("default").count() == len(queues), "all else went"
    assert {key: raw.dump(key) for key in raw.scan_iter()} == queues
    assert set(Operation.objects.values_list("state", flat=True)) == {"done"}


def test_whoever_clears_the_sessions_is_told_of_the_own_logout(client: Client, raw: redis.Redis, settings: Any) -> None:
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = "django.contrib.sessions.backends.cache", "core"
    client.force_login(client.user)  # type: ignore[attr-defined]
    wish = {"kind": "alias", "protected": "1"}
    asked = client.post(url("invalidate_confirm", "core"), wish)
    page = unescape(text(asked))
    assert "These are the sessions of this site: everybody is signed out, you too." in page
    assert "Type core to confirm" in page
    token = asked.context["token"]
    refused = client.post(url("invalidate_confirm", "core"), {**wish, "token": token, "typed": "Core"})
    assert refused.status_code == 403
    assert client.get(url("cache_changelist")).status_code == 200, "still signed in"
    client.post(url("invalidate_confirm", "core"), {**wish, "token": token, "typed": "core"})
    assert client.get(url("cache_changelist")).url.startswith("/admin/login/")  # type: ignore[attr-defined]
    assert Operation.objects.values_list("state", flat=True).get() == "done"

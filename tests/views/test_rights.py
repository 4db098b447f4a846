"""The rights that docs/security.md asks for on the server: enough for everything, and none left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client, override_settings
from embedded import running

from cache_admin.adapters import adapter, servers
from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.panels import base as cards

from .conftest import key_url, text, url

pytestmark = pytest.mark.servers
DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
KEYS = ("string", "hash", "list", "set", "zset", "stream")


def documented() -> list[str]:
    found = re.search(r"ACL SETUSER cache-admin on >PASSWORD (.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found[1].replace("\\\n", " ").split()


@pytest.fixture
def guarded() -> Iterator[redis.Redis]:
    """A server whose database 2 holds a key of every type; the alias ``mine`` uses it with the documented rights."""
    with running() as server, redis.Redis(unix_socket_path=str(server.socket), db=2) as client:
        client.execute_command("ACL", "SETUSER", "cache-admin", "reset", "on", ">sw0rdfish", *documented())
        client.set("a:1:string", "x" * 100)
        client.hset("a:1:hash", "f", "v")
        client.rpush("a:1:list", 1, 2)
        client.sadd("a:1:set", 1)
        client.zadd("a:1:zset", {"m": 1})
        client.xadd("a:1:stream", {"f": "v"})
        client.mset({f"a:1:product:{number}": "v" for number in range(50)})
        client.config_resetstat()
        location = f"{server.url.replace('unix://', 'unix://cache-admin:sw0rdfish@')}?db=2"
        mine = {**settings.CACHES["default"], "LOCATION": location, "KEY_PREFIX": "a"}
        sampler.forget()
        cards._snapshots.clear()
        with override_settings(CACHES={**settings.CACHES, "mine": mine}):
            yield client
        servers.forget()
        sampler.forget()


def test_the_documented_rights_are_enough_and_none_is_left_over(client: Client, guarded: redis.Redis) -> None:
    pages = [
        *(client.get(url(name, "mine"), {"q": "product"}) for name in ("patterns", "keys", "large_keys", "find_in")),
        *(client.get(url("card", "mine", panel.slug)) for panel in cards.all_panels()),
        client.get(url("keys", "mine"), {"exact": "string"}),
        *(client.get(key_url(f"a:1:{kind}".encode(), "mine")) for kind in KEYS),
        client.post(url("census_start", "mine"), follow=True),
        client.post(url("values_start", "mine"), follow=True),
        *(client.get(url(name, "mine")) for name in ("forecast", "leftovers")),
    ]
    for verb in ("expire", "persist", "delete"):
        change = key_url(b"a:1:string", "mine", "key_change")
        pages.append(client.post(change, {"verb": verb, "seconds": "60"}, follow=True))
    for when in ("spread", "now"):
        asked = client.post(url("invalidate_confirm", "mine"), {"target": "product:*", "when": when, "seconds": "60"})
        pages.append(client.post(url("invalidate_confirm", "mine"), {"token": asked.context["token"]}, follow=True))
    assert not [found for page in pages for found in re.findall("not (?:permitted|offered)[^<]*", text(page))]
    assert set(Operation.objects.values_list("state", flat=True)) == {"done"}
    assert adapter("mine").count() == 5
    adapter("mine").slow_log()
    stats = guarded.execute_command("INFO", "commandstats")
    sent = {name.removeprefix("cmdstat_") for name in stats} - {"auth", "config|resetstat"}
    assert {f"+{name}" for name in sent} == {right for right in documented() if right.startswith("+")}


#: A command that is denied, what the pages call it, and the pages and cards that say so.
DENIED = {
    "scan": ("scan", {"patterns", "large_keys", "keys", "find_in", "forecast", "leftovers", "health", "invalidate",
                      "top_patterns", "large_keys card", "expiring", "leftovers card", "contents"}),
    "memory": ("memory|usage", {"patterns", "large_keys", "forecast", "leftovers", "key"}),
    "info": ("info", {"health", "health card", "server", "memory", "hit_rate", "operations_per_second", "evictions",
                      "headline", "summary"}),
    "type": ("type", {"key"}), "pttl": ("pttl", {"key"}), "getrange": ("getrange", {"key"}),
    "strlen": ("strlen", {"key"}), "object": ("object", {"key"}), "slowlog": ("slowlog", {"health"}),
    "exists": ("exists", {"find_in", "exact"}), "unlink": ("unlink", {"delete"}), "pexpire": ("pexpire", {"expire"}),
    **{name: ("", set()) for name in ("dbsize", "ping", "client", "config", "latency", "cluster", "hello")},
}  # fmt: skip


@pytest.mark.parametrize("command", DENIED)
def test_a_command_that_is_denied_is_named_where_it_is_missed_and_nowhere_else(
    client: Client, guarded: redis.Redis, command: str
) -> None:
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "+@all", f"-{command}")
    pages = {
        name: client.get(url(name, "mine"), {"q": "string", "target": "string"})
        for name in ("patterns", "large_keys", "keys", "find_in", "forecast", "leftovers", "health", "invalidate")
    }
    pages |= {"key": client.get(key_url(b"a:1:string", "mine"))}
    pages |= {"exact": client.get(url("keys", "mine"), {"exact": "string"})}
    for place in ("dashboard", "head", "overview"):
        for panel in cards.all_panels(place):
            name = f"{panel.slug} card" if panel.slug in pages else panel.slug
            pages[name] = client.get(url("card", "mine", panel.slug))
    change = key_url(b"a:1:string", "mine", "key_change")
    pages["expire"] = client.post(change, {"verb": "expire", "seconds": "60"}, follow=True)
    pages["delete"] = client.post(change, {"verb": "delete"}, follow=True)
    assert {page.status_code for page in pages.values()} == {200}
    assert not [name for name, page in pages.items() if "This card failed" in text(page)]
    said, where = DENIED[command]
    found = {name: re.findall(r"not permitted: \+([\w|]+)", text(page)) for name, page in pages.items()}
    assert {name for name, names in found.items() if names} == where
    assert {name for names in found.values() for name in names} <= {said, command}


def test_sessions_that_may_not_be_read_do_not_keep_a_customers_keys(
    client: Client, guarded: redis.Redis, settings: Any
) -> None:
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = "django.contrib.sessions.backends.cached_db", "mine"
    guarded.mset({"a:1:user:42:stats": "v", "a:1:django.contrib.sessions.cached_dbabcdefgh": "v"})
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "-getrange", "+get", "+set")
    asked = {"kind": "user", "target": "42"}
    shown = client.post(url("invalidate_confirm", "mine"), asked)
    assert "Sessions of this user are not known: not permitted: +getrange." in text(shown)
    client.post(url("invalidate_confirm", "mine"), {**asked, "token": shown.context["token"]})
    assert not guarded.exists("a:1:user:42:stats")


def test_values_that_may_not_be_read_are_counted(client: Client, guarded: redis.Redis) -> None:
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "-getrange")
    client.post(url("values_start", "mine"))
    page = text(client.get(url("leftovers", "mine")))
    assert "Looked at 0 values" in page
    assert "21 values may not be read." in page


def test_without_pttl_the_pages_say_that_no_expiry_is_known(client: Client, guarded: redis.Redis) -> None:
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "-pttl")
    assert "The expiry of 100\xa0% of the keys is not known" in text(client.get(url("forecast", "mine")))
    assert "Not known: the expiry of keys was not asked" in text(client.get(url("leftovers", "mine")))
    assert "may not be asked (+pttl)" in text(client.get(url("card", "mine", "expiring")))


def test_a_right_that_is_missing_is_told_once_in_each_part(client: Client, guarded: redis.Redis) -> None:
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "-strlen")
    page = text(client.get(key_url(b"a:1:string", "mine")))
    facts, value = page.split("<h2>Value</h2>")
    assert (facts.count("not permitted: +strlen"), value.count("not permitted: +strlen")) == (1, 1)


def test_keys_of_others_that_may_not_be_read_have_no_size(client: Client, guarded: redis.Redis) -> None:
    guarded.mset({f"other:{number}": "v" for number in range(30)})
    guarded.execute_command("ACL", "SETUSER", "cache-admin", "resetkeys", "~a:*")
    client.post(url("census_start", "mine"))
    for page in (text(client.get(url(name, "mine"))) for name in ("patterns", "leftovers")):
        (row,) = (row for row in page.split("<tr") if re.search(r"other:(<[^>]+>)+\*", row))
        assert ">30</td>" in row
        assert ">no access</span>" in row
        assert "0\xa0bytes" not in row

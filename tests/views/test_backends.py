"""Caches of other kinds on the pages: what they can say, honestly, whatever becomes of their servers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from embedded import running

from cache_admin.adapters import patience
from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.panels import base as cards
from tests.adapters.conftest import free_port
from tests.views.conftest import key_url, text, url
from tests.views.test_faults import get, words

pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore::ResourceWarning")]
BACKENDS = "django.core.cache.backends"
RAW = b"odd:1:product:1"
PAGES = ("dashboard", "patterns", "keys", "large_keys", "health", "hit_rates", "forecast", "leftovers", "invalidate")


@pytest.fixture
def memcached(memcached_binary: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Three of them, behind the sockets 0 to 2 of the directory."""
    with ExitStack() as ending:
        processes = []
        for number in range(3):
            path = tmp_path / str(number)
            process = subprocess.Popen([memcached_binary, "-s", str(path), "-u", "root", "-m", "16"])
            ending.enter_context(process)
            ending.callback(process.kill)
            ending.callback(process.send_signal, signal.SIGCONT)
            processes.append(process)
            while not path.exists():
                time.sleep(0.01)
        yield processes


def odd(settings: Any, backend: str, location: object, **more: Any) -> None:
    """The alias "odd" of some kind; a page waits half a second for it."""
    made = {"BACKEND": backend, "LOCATION": location, "KEY_PREFIX": "odd", **more}
    settings.CACHES = {**settings.CACHES, "odd": made}
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "SERVER_TIMEOUT": 0.5}


def every_page(client: Client) -> dict[str, str]:
    pages = {name: get(client, url(name, "odd")) for name in PAGES}
    pages |= {"find": get(client, url("find_in", "odd"), {"q": "product:1"})}
    pages |= {"exact": get(client, url("keys", "odd"), {"exact": "product:1"}), "key": get(client, key_url(RAW, "odd"))}
    for place in ("dashboard", "head", "overview"):
        pages |= {
            f"card {panel.slug}": get(client, url("card", "odd", panel.slug)) for panel in cards.all_panels(place)
        }
    return pages


def test_a_memcached_that_is_away_is_not_called_empty(
    client: Client, raw: redis.Redis, settings: Any, memcached: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    odd(settings, f"{BACKENDS}.memcached.PyMemcacheCache", [f"unix:{tmp_path / str(number)}" for number in range(3)])
    caches["odd"].set_many({f"product:{number}": 1 for number in range(30)})
    assert "Present in odd" in every_page(client)["exact"]
    assert "Not in odd" in get(client, url("keys", "odd"), {"exact": "nowhere"})
    memcached[1].kill()
    memcached[1].wait()
    answers = [get(client, url("keys", "odd"), {"exact": f"product:{number}"}) for number in range(30)]
    away = [page for page in answers if f"1 of 3 servers do not answer (unix:{tmp_path / '1'})" in page]
    assert away
    assert len(away) + sum("Present in odd" in page for page in answers) == 30
    assert "1 of 3 servers do not answer" in get(client, url("health", "odd"))
    with pytest.raises(CommandError, match="1 of 3 servers") as failed:
        call_command("cache_health", alias=["odd"])
    assert failed.value.returncode == 5
    caches["odd"].close()


def test_a_memcached_that_hangs_holds_up_no_page(
    client: Client, raw: redis.Redis, settings: Any, memcached: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    odd(settings, f"{BACKENDS}.memcached.PyMemcacheCache", f"unix:{tmp_path / '0'}")
    memcached[0].send_signal(signal.SIGSTOP)
    pages = every_page(client)
    for name in ("exact", "find", "health", "key"):
        assert "not answering since" in pages[name], name
    done = client.post(key_url(RAW, "odd", "key_change"), {"verb": "delete"}, follow=True)
    assert "not answering since" in text(done)
    assert Operation.objects.get().state == "interrupted"
    memcached[0].send_signal(signal.SIGCONT)
    until = time.monotonic() + 10
    while "Not in odd" not in get(client, url("keys", "odd"), {"exact": "product:1"}):
        assert time.monotonic() < until
    patience._hanging.clear()


def test_sentinels_that_are_away_hold_up_no_page(client: Client, raw: redis.Redis, settings: Any) -> None:
    odd(
        settings,
        "django_redis.cache.RedisCache",
        "redis://mymaster/0",
        OPTIONS={
            "CLIENT_CLASS": "django_redis.client.SentinelClient",
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "CONNECTION_POOL_CLASS": "redis.sentinel.SentinelConnectionPool",
            "SENTINELS": [("127.0.0.1", free_port())],
        },
    )
    pages = every_page(client)
    for name in ("exact", "find", "health", "key"):
        assert "not answering since" in pages[name] or "the cache failed" in pages[name], name
    assert "sentinel, sharding or cluster client cannot list its keys" in pages["keys"]
    thread = patience._hanging.pop("odd", None)
    if thread:
        thread.thread.join(20)


def test_servers_that_share_the_keys_are_looked_up_by_exact_key(
    client: Client, raw: redis.Redis, settings: Any
) -> None:
    with running() as one, running() as other:
        options = {"CLIENT_CLASS": "django_redis.client.ShardClient"}
        odd(settings, "django_redis.cache.RedisCache", [one.url, other.url], OPTIONS=options)
        for number in range(20):
            caches["odd"].set(f"product:{number}", 1)
        for number in range(20):
            assert "Present in odd" in get(client, url("keys", "odd"), {"exact": f"product:{number}"})
        client.post(key_url(RAW, "odd", "key_change"), {"verb": "delete"})
        assert "Not in odd" in every_page(client)["exact"]


def test_a_node_of_a_cluster_says_that_it_is_one(client: Client, raw: redis.Redis, settings: Any) -> None:
    with running(options=("cluster-enabled yes", "cluster-require-full-coverage no")) as server:
        odd(settings, "django_redis.cache.RedisCache", server.url)
        with redis.Redis.from_url(server.url) as other:
            other.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
            with suppress(redis.RedisError):
                until = time.monotonic() + 10
                while b"cluster_state:ok" not in other.execute_command("CLUSTER", "INFO") and time.monotonic() < until:
                    time.sleep(0.05)
            for number in range(40):
                with suppress(redis.RedisError):
                    other.set(f"odd:1:product:{number}", "v")
        sampler.forget()
        pages = every_page(client)
        for name in ("health", "card headline", "card summary"):
            assert "is a node of a cluster: keys of its other nodes are not seen here" in pages[name], name
        said = {
            page
            for number in range(40)
            for page in re_said(get(client, url("keys", "odd"), {"exact": f"product:{number}"}))
        }
        assert said == {"the cluster is down: no server takes care of some of its slots", "Present in odd"}


def re_said(page: str) -> list[str]:
    known = ("the cluster is down: no server takes care of some of its slots", "Present in odd", "Not in odd")
    return [one for one in known if one in page] or [page]


def test_a_table_that_is_missing_says_how_to_make_it(client: Client, raw: redis.Redis, settings: Any) -> None:
    odd(settings, f"{BACKENDS}.db.DatabaseCache", "no_such_table")
    pages = every_page(client)
    for name in ("exact", "find", "health", "key"):
        assert "its table no_such_table is missing: run manage.py createcachetable" in pages[name], name
    assert not connection.needs_rollback
    call_command("createcachetable", verbosity=0)
    caches["odd"].set("product:1", 1)
    assert "Present in odd" in every_page(client)["exact"]
    client.post(key_url(RAW, "odd", "key_change"), {"verb": "delete"})
    assert "Not in odd" in every_page(client)["exact"]


def test_local_memory_names_the_process_that_answers(client: Client, raw: redis.Redis, settings: Any) -> None:
    odd(settings, f"{BACKENDS}.locmem.LocMemCache", "odd")
    caches["odd"].set("product:1", 1)
    said = f"Only the memory of this worker process (pid {os.getpid()}) is meant: every process has its own."
    pages = every_page(client)
    for name in ("dashboard", "keys", "find", "key"):
        assert said in pages[name], name
    assert said not in pages["hit_rates"], "those are of all processes"
    asked = client.post(url("invalidate_confirm", "odd"), {"kind": "literal", "target": "product:1"})
    assert said in words(text(asked))
    caches["odd"].clear()


def test_files_that_cannot_be_read_are_a_failure_and_not_an_absence(
    client: Client, raw: redis.Redis, settings: Any, tmp_path: Path
) -> None:
    odd(settings, f"{BACKENDS}.filebased.FileBasedCache", str(tmp_path / "files"))
    caches["odd"].set("product:1", 1)
    assert "Present in odd" in every_page(client)["exact"]
    (found,) = (tmp_path / "files").iterdir()
    found.unlink()
    found.mkdir()
    pages = every_page(client)
    assert "odd: the cache failed (IsADirectoryError)" in pages["exact"]
    assert "Not in" not in pages["exact"] + pages["key"]

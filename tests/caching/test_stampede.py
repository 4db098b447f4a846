"""Real processes, real threads, a real server: one computation, whoever dies."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.memcached import PyMemcacheCache
from embedded import Server

ROOT = Path(__file__).parent.parent.parent
BACKENDS = {
    "core": "django.core.cache.backends.redis.RedisCache",
    "django-redis": "django_redis.cache.RedisCache",
    "memcached": "django.core.cache.backends.memcached.PyMemcacheCache",
}
Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture(params=list(BACKENDS))
def start(request: pytest.FixtureRequest, server: Server, raw: Any) -> Iterator[Start]:
    """Starts a process of callers that waits for :func:`go`; all are gone after the test."""
    location, backend = server.url, BACKENDS[request.param]
    if request.param == "memcached":
        location = f"unix:{request.getfixturevalue('memcached')}"
        cache = PyMemcacheCache(location.removeprefix("unix:"), {})
        cache.clear()
        cache.close()
    with ExitStack() as ending:

        def started(what: str, threads: int) -> Process:
            command = [sys.executable, "-m", "tests.caching.callers", server.url, backend, location, what, str(threads)]
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            ending.enter_context(process)
            ending.callback(process.kill)
            return process

        yield started


def go(*processes: Process) -> None:
    for process in processes:
        said(process, "ready")
    for process in processes:
        tell(process)


def said(process: Process, line: str) -> None:
    assert process.stdout
    assert process.stdout.readline() == f"{line}\n"


def tell(process: Process) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answers(*processes: Process) -> list[Any]:
    return [answer for process in processes for answer in json.loads(process.communicate(timeout=60)[0])]


def kept(reader: Process) -> list[Any]:
    """The value and the lock, read by another process."""
    go(reader)
    return answers(reader)


def test_two_hundred_callers_make_one_computation(start: Start, raw: Any) -> None:
    processes = [start("stampede", 50) for _ in range(4)]
    go(*processes)
    assert answers(*processes) == [1] * 200
    assert raw.get("computations") == b"1"
    assert kept(start("kept", 1)) == [[1, None]]


def test_two_hundred_tasks_of_four_event_loops_make_one_computation(start: Start, raw: Any) -> None:
    processes = [start("tasks", 1) for _ in range(4)]
    go(*processes)
    assert answers(*processes) == [[1] * 50] * 4
    assert raw.get("computations") == b"1"


def test_an_owner_whose_lock_expires_leaves_the_next_ones_lock_and_value(start: Start, raw: Any) -> None:
    late, following, first, last = start("late", 1), start("next_one", 1), start("kept", 1), start("kept", 1)
    for process in (late, following):
        go(process)
        said(process, "computing")
    tell(late)
    assert answers(late) == ["late"]
    [(value, lock)] = kept(first)
    assert value in ("late", None), "better than nothing, unless it sees the next one's lock"
    assert lock
    tell(following)
    assert answers(following) == ["next"]
    assert kept(last) == [["next", None]]


def test_when_the_owner_is_killed_one_of_the_others_goes_on(start: Start, raw: Any) -> None:
    owner, others = start("die", 1), [start("after_a_death", 20) for _ in range(2)]
    go(owner)
    said(owner, "computing")
    go(*others)
    time.sleep(0.3)
    owner.kill()
    began = time.monotonic()
    assert answers(*others) == [1] * 40
    assert time.monotonic() - began < 8
    assert raw.get("computations") == b"1"


def test_bumps_from_many_processes_are_all_seen(start: Start, raw: Any) -> None:
    processes = [start("bump", 3) for _ in range(3)]
    go(*processes)
    assert answers(*processes) == [0] * 9
    assert raw.get("truth") == b"225"


def test_what_lists_keys_works_without_the_admin_and_on_aliases_that_it_does_not_show(server: Server, raw: Any) -> None:
    code = """
import sys
import django
from django.conf import settings
backends = ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"]
aliases = {name: {"BACKEND": name, "LOCATION": sys.argv[1], "KEY_PREFIX": name[:9]} for name in backends}
local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
shown, hosts = {"ALIASES": ["default"]}, ["a.example"]
settings.configure(CACHES={"default": local, **aliases}, CACHE_ADMIN=shown, ALLOWED_HOSTS=hosts)
django.setup()
import cache_admin.caching as caching
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
for alias in backends:
    caches[alias].set_many({"a:1": 1, "b:1": 1, make_template_fragment_key("side", [1]): "x"})
    assert caching.SmartCache(alias).invalidate_pattern("a:*") == 1
    assert caching.invalidate_fragment("side", every=True, alias=alias) == 1
    assert caching.invalidate_page("http://a.example/", alias=alias) == 0
    assert caches[alias].get("b:1") == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code, server.url], cwd=ROOT, check=True, timeout=60)


def test_it_works_without_the_admin_and_before_any_app_is_loaded() -> None:
    code = """
import cache_admin.caching as caching
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
f = caching.cache_result(60)(lambda a: a * 2)
assert [f(2), f.peek(2), caching.SmartCache().get_or_set_with_lock("k", lambda: 1, 60)] == [4, 4, 1]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=60)

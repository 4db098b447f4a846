"""``SmartCache``: plain values, locks, stale values, early refresh, many keys, patterns."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import SynchronousOnlyOperation

from cache_admin.caching import SmartCache, cache_result, waiting
from cache_admin.caching.envelope import Entry, opened, until
from cache_admin.caching.locks import Lease
from cache_admin.caching.waiting import LONGEST, SHORTEST, pause
from cache_admin.exceptions import InvalidPattern, Unsupported

Ask = Callable[..., Any]


def in_thread(function: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, kind: str) -> Ask:
    """``get_or_set_with_lock`` of an alias, or its async twin in an event loop of each caller's own."""
    smart = SmartCache(kind)
    if request.param == "sync":
        return smart.get_or_set_with_lock

    def aask(key: str, fn: Callable[[], Any], timeout: float, **options: Any) -> Any:
        async def compute() -> Any:
            return await asyncio.to_thread(fn)

        return asyncio.run(smart.aget_or_set_with_lock(key, compute, timeout, **options))

    return aask


@pytest.mark.parametrize("value", [None, 0, "text", [1, {"a": None}]])
def test_plain_values_are_plain(kind: str, value: Any) -> None:
    smart = SmartCache(kind)
    assert smart.get("k", "nothing") == "nothing"
    smart.set("k", value, 60)
    assert smart.get("k", "nothing") == value
    assert caches[kind].get("k", "nothing") == value
    assert smart.delete("k") is True
    assert smart.get("k", "nothing") == "nothing"


def test_counters_stay_counters(kind: str) -> None:
    smart = SmartCache(kind)
    smart.set("hits", 5, 60, compress=True)
    assert caches[kind].incr("hits") == 6
    assert smart.get("hits") == 6


def test_values_with_tags(kind: str) -> None:
    smart = SmartCache(kind)
    smart.set("k", "v", 60, tags=["t"])
    smart.set("forever", "v", None, tags=["t"])
    assert [smart.get("k"), smart.get("forever")] == ["v", "v"]
    smart.invalidate_tags("t")
    assert [smart.get("k"), smart.get("forever")] == [None, None]


def test_get_or_set_keeps_none(kind: str, ask: Ask) -> None:
    smart, calls = SmartCache(kind), []
    for _ in range(3):
        assert ask("k", lambda: calls.append(1), 60) is None
    assert len(calls) == 1
    assert smart.get("k", "nothing") is None


def test_others_wait_for_the_one_who_computes(kind: str, ask: Ask) -> None:
    calls, got = [], []
    barrier = threading.Barrier(20)

    def compute() -> int:
        calls.append(1)
        time.sleep(0.2)
        return 42

    def call() -> None:
        barrier.wait()
        got.append(ask("k", compute, 60))

    for thread in [in_thread(call) for _ in range(20)]:
        thread.join()
    assert got == [42] * 20
    assert len(calls) == 1 or kind == "files"  # add() is not atomic on files
    assert not caches[kind].has_key("k:lock")


def test_who_waited_long_enough_computes_without_the_lock(kind: str, ask: Ask) -> None:
    caches[kind].add("k:lock", 1, 30)
    began = time.monotonic()
    assert ask("k", lambda: "mine", 60, lock_timeout=30, wait=0.2) == "mine"
    assert 0.2 <= time.monotonic() - began < 2
    assert caches[kind].get("k:lock") == 1
    assert SmartCache(kind).get("k") == "mine"


def test_the_lock_of_a_dead_owner_expires(kind: str, ask: Ask) -> None:
    caches[kind].add("k:lock", 1, 1)
    began = time.monotonic()
    assert ask("k", lambda: "mine", 60, wait=10) == "mine"
    assert time.monotonic() - began < 3


def test_an_owner_whose_lock_ran_out_leaves_the_lock_of_the_next_one(kind: str, ask: Ask) -> None:
    """The first computes longer than its lease; the second takes over; the first must release nothing."""
    smart, seen = SmartCache(kind), {}
    taken, first_done = threading.Event(), threading.Event()

    def slow() -> str:
        taken.set()
        time.sleep(1.6)
        return "first"

    def second() -> str:
        seen["before"] = caches[kind].get("k:lock")
        first_done.wait(5)
        seen["after"] = caches[kind].get("k:lock")
        return "second"

    def run_first() -> None:
        assert ask("k", slow, 60, lock_timeout=1) == "first"
        first_done.set()

    thread = in_thread(run_first)
    taken.wait(5)
    assert ask("k", second, 60, lock_timeout=20) == "second"
    thread.join()
    assert seen["before"] == seen["after"] is not None
    assert smart.get("k") == "second"
    assert not caches[kind].has_key("k:lock")


def test_a_late_owner_does_not_overwrite_newer_facts(kind: str, ask: Ask) -> None:
    smart = SmartCache(kind)

    def slow() -> str:
        time.sleep(0.9)
        other = threading.Thread(target=lambda: ask("k", lambda: "newer", 60, wait=0))
        other.start()
        other.join()
        time.sleep(0.3)
        return "older"

    assert ask("k", slow, 60, lock_timeout=1) == "older"
    assert smart.get("k") == "newer"


def test_what_was_invalidated_while_it_was_computed_is_not_stored(kind: str, ask: Ask) -> None:
    smart = SmartCache(kind)

    def compute() -> str:
        smart.delete("k")
        return "from before"

    assert ask("k", compute, 60) == "from before"
    assert smart.get("k") is None


def test_a_lease_is_certain_only_while_enough_of_it_is_left() -> None:
    assert Lease.asked("k", 10).certain()
    assert Lease("k", 10, since=time.monotonic() - 8.9).certain()
    assert not Lease("k", 10, since=time.monotonic() - 9.1).certain()
    assert not Lease("k", 1, since=time.monotonic() - 0.8).certain()
    assert Lease.asked("k", 0.2).seconds == 1


def test_stale_values_are_served_while_one_computes(kind: str, ask: Ask) -> None:
    smart, started, go = SmartCache(kind), threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        go.wait(5)
        return "new"

    ask("k", lambda: "old", 0.1, stale=30)
    time.sleep(0.15)
    thread = in_thread(lambda: ask("k", slow, 60, stale=30))
    started.wait(5)
    began = time.monotonic()
    assert ask("k", lambda: "not called", 60, stale=30) == "old"
    assert time.monotonic() - began < 0.3
    assert smart.get("k") is None
    go.set()
    thread.join()
    assert smart.get("k") == "new"


def test_values_are_stale_for_as_long_as_was_said(local: str) -> None:
    smart = SmartCache(local)
    smart.get_or_set_with_lock("k", lambda: "old", 0.05, stale=0.1)
    time.sleep(0.2)
    caches[local].add("k:lock", 1, 30)
    assert smart.get_or_set_with_lock("k", lambda: "new", 60, stale=0.1, wait=0) == "new"


def test_early_refresh_follows_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of callers that refresh ``t`` seconds before the end is exp(-t / (seconds * beta))."""
    monkeypatch.setattr(random, "random", random.Random(7).random)
    now = 1000.0
    for seconds, beta, before in [(2.0, 1.0, 3.0), (2.0, 2.0, 3.0), (0.5, 1.0, 1.0)]:
        entry = Entry("v", 0, now + before, seconds)
        share = sum(entry.due_early(now, beta) for _ in range(20_000)) / 20_000
        assert share == pytest.approx(math.exp(-before / (seconds * beta)), abs=0.01)
    assert not Entry("v", 0, now + 0.001, 50.0).due_early(now, 0)
    assert not Entry("v", 0, None, 50.0).due_early(now, 1)


def test_an_early_refresh_is_done_by_one_and_the_others_keep_the_value(kind: str, ask: Ask) -> None:
    calls = []

    def compute() -> int:
        calls.append(1)
        time.sleep(0.05)
        return len(calls)

    assert ask("k", compute, 60, beta=1) == 1
    assert ask("k", compute, 60, beta=1e9) == 2
    caches[kind].add("k:lock", 1, 30)
    assert ask("k", compute, 60, beta=1e9) == 2


@pytest.mark.parametrize("alias", ["locmem", "core", "default"])
@pytest.mark.parametrize("anew", [{"beta": 1e9}, {"stale": 30}])
def test_what_is_computed_anew_is_kept_in_the_version_of_the_alias(
    alias: str, anew: dict[str, float], raw: Any, settings: Any
) -> None:
    """The version is the alias's; a call that named another would be refused, not ignored."""
    caches[alias].clear()
    settings.CACHES = {**settings.CACHES, alias: {**settings.CACHES[alias], "VERSION": 3}}
    smart, values = SmartCache(alias), iter(["old", "new"])
    caches[alias].set_many({"k": "another", "k:lock": 1}, version=1)
    for expected in ("old", "new"):
        assert smart.get_or_set_with_lock("k", lambda: next(values), 0.1, **anew) == expected
        time.sleep(0.15 if "stale" in anew else 0.01)
    entries = {version: opened(caches[alias].get("k", version=version)) for version in (1, 2, 3)}
    assert [entry and entry.value for entry in entries.values()] == ["another", None, "new"]
    assert not caches[alias].has_key("k:lock", version=3)
    with pytest.raises(TypeError, match="version"):
        smart.get_or_set_with_lock("k", lambda: 1, 60, version=2)
    with pytest.raises(TypeError, match="version"):
        cache_result(60, version=2)


def test_the_pauses_of_those_who_wait_stay_below_the_promise() -> None:
    pauses = [pause(waited / 1000) for waited in range(2000)]
    assert min(pauses) == pauses[0] == SHORTEST
    assert max(pauses) == pauses[-1] == LONGEST < 0.015
    assert pauses == sorted(pauses)


def test_a_cache_that_is_down_but_silent_makes_nobody_wait(settings: Any) -> None:
    down = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "unix:///nowhere.sock"}
    settings.CACHES = {**settings.CACHES, "down": {**down, "OPTIONS": {"IGNORE_EXCEPTIONS": True}}}
    began = time.monotonic()
    assert SmartCache("down").get_or_set_with_lock("k", lambda: "mine", 60) == "mine"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_many_with_one_call_for_the_missing(kind: str, mode: str) -> None:
    smart, asked = SmartCache(kind), []

    async def afallback(keys: list[str]) -> dict[str, Any]:
        return fallback(keys)

    def many(keys: list[str]) -> dict[str, Any]:
        if mode == "sync":
            return smart.get_many_with_fallback(keys, fallback, 60)
        return asyncio.run(smart.aget_many_with_fallback(keys, afallback, 60))

    def fallback(keys: list[str]) -> dict[str, Any]:
        asked.append(keys)
        return {"d": iter([1, 2]), "b": None, "unasked": 1}

    caches[kind].set("a", None)
    smart.get_or_set_with_lock("c", lambda: "sealed", 60)
    for _ in range(2):
        got = many(["d", "a", "unknown", "c", "b", "d"])
        assert list(got.items()) == [("d", [1, 2]), ("a", None), ("c", "sealed"), ("b", None)]
    assert asked == [["d", "unknown", "b"], ["unknown"]]
    assert not caches[kind].has_key("unasked")
    assert many([]) == {}
    assert len(asked) == 2


def test_patterns(raw: Any) -> None:
    smart = SmartCache("default")
    caches["default"].set_many({f"product:{i}": i for i in range(2500)} | {"products": 1, "prod*": 2})
    caches["json"].set("product:1", 1)
    assert smart.invalidate_pattern("product:*") == 2500
    assert smart.invalidate_pattern("product:*") == 0
    assert smart.invalidate_pattern("prod\\*") == 1
    assert caches["default"].get("products") == 1
    assert caches["json"].get("product:1") == 1
    with pytest.raises(InvalidPattern):
        smart.invalidate_pattern("")


def test_patterns_are_refused_where_keys_cannot_be_listed(kind: str) -> None:
    caches[kind].set("product:1", 1)
    for alias in ("dummy", kind):
        if kind in ("core", "default"):
            assert SmartCache(kind).invalidate_pattern("product:*") in (0, 1)
            continue
        with pytest.raises(Unsupported, match=f"{alias}: this cache cannot list its keys"):
            SmartCache(alias).invalidate_pattern("product:*")
        with pytest.raises(Unsupported, match=f"{alias}: this cache cannot list its keys"):
            asyncio.run(SmartCache(alias).ainvalidate_pattern("product:*"))
    assert caches[kind].has_key("product:1") is (kind not in ("core", "default"))


def test_async_twins(kind: str) -> None:
    async def twins() -> None:
        smart, calls = SmartCache(kind), []
        await smart.aset("k", (i for i in range(2)), 60, tags=["t"])
        assert await smart.aget("k") == [0, 1]
        await smart.ainvalidate_tags("t")
        assert await smart.aget("k", "nothing") == "nothing"
        assert await smart.adelete("k") is True

        async def compute() -> int:
            calls.append(1)
            await asyncio.sleep(0.1)
            return 1

        assert await asyncio.gather(*(smart.aget_or_set_with_lock("k", compute, 60) for _ in range(40))) == [1] * 40
        assert len(calls) == 1
        assert await smart.aget_or_set_with_lock("sync", lambda: 5, 60) == 5

        async def fallback(keys: list[str]) -> dict[str, Any]:
            return {key: key.upper() for key in keys}

        assert await smart.aget_many_with_fallback(["x", "k"], fallback, 60) == {"x": "X", "k": 1}
        if kind in ("default", "core"):
            assert await smart.ainvalidate_pattern("*") == 4  # three values and the tag

    asyncio.run(twins())


def test_tasks_and_threads_do_not_wake_each_other_wrongly(kind: str) -> None:
    calls = []

    @cache_result(60, alias=kind)
    def slow() -> str:
        calls.append(1)
        time.sleep(0.2)
        return "x"

    async def many() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(slow) for _ in range(8)))

    assert asyncio.run(many()) == ["x"] * 8
    assert len(calls) == 1 or kind == "files"


def test_entries_say_their_age(local: str) -> None:
    before = time.time()
    SmartCache(local).get_or_set_with_lock("k", lambda: time.sleep(0.05), 60)
    entry = opened(caches[local].get("k"))
    assert before <= entry.as_of <= time.time() - 0.05
    assert 0.05 <= entry.seconds < 1
    assert until(None) is None


def test_blocking_code_on_an_event_loop_waits_as_long_as_it_was_told(kind: str) -> None:
    smart = SmartCache(kind)
    caches[kind].add("k:lock", 1, 30)

    async def both() -> list[str]:
        async def compute() -> str:
            return "task"

        task = asyncio.create_task(smart.aget_or_set_with_lock("k", compute, 60, wait=1))
        await asyncio.sleep(0.2)
        # In a context of its own, for a client of memcached serves one thread at a time.
        call = functools.partial(smart.get_or_set_with_lock, "k", lambda: "blocking", 60, wait=0.2)
        blocking = contextvars.Context().run(call)
        return [blocking, await task]

    if kind == "table":  # Django lets nobody block an event loop on the database
        with pytest.raises(SynchronousOnlyOperation):
            asyncio.run(both())
    else:
        assert asyncio.run(both()) == ["blocking", "blocking"]


def test_a_tag_named_twice_is_one(local: str) -> None:
    smart = SmartCache(local)
    smart.get_or_set_with_lock("k", lambda: "v", 60, tags=["t", "t"])
    assert smart.get("k") == "v"
    with pytest.raises(TypeError, match=r"write tags=\['t'\]"):
        smart.set("k", "v", 60, tags="t")


def test_values_that_look_like_an_envelope_are_values(local: str) -> None:
    class Odd(list):  # type: ignore[type-arg]
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

    assert opened((Odd(), 1, 2, 3, 4, 5, 6)).as_of is None
    assert opened(("cache_admin:1", 1)).value == ("cache_admin:1", 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_does_not_wait_for_a_thread_of_its_parent(local: str) -> None:
    """A process forks while one of its threads waits for a value and asks for the others."""
    smart, computing, done = SmartCache(local), threading.Event(), threading.Event()

    def compute() -> int:
        computing.set()
        done.wait(10)
        return 1

    owner = in_thread(smart.get_or_set_with_lock, "k", compute, 60)
    assert computing.wait(5)
    waits = in_thread(smart.get_or_set_with_lock, "k", lambda: 2, 60)
    while not waiting._turns:
        time.sleep(0.001)
    waiting._lock.acquire()
    child = os.fork()
    if not child:
        in_thread(lambda: (time.sleep(0.3), caches[local].set("k", 3)))
        began = time.monotonic()
        value = smart.get_or_set_with_lock("k", lambda: 4, 60, lock_timeout=30)
        os._exit(0 if value == 3 and time.monotonic() - began < 3 else 1)
    waiting._lock.release()
    done.set()
    owner.join(), waits.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

"""What the caching library does behind a look-up is nobody's look-up: polls, locks, stamps and guesses are not told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import BaseCache, CacheHandler, caches

from cache_admin.bookkeeping import PLAIN, unwatched
from cache_admin.caching import CacheWarmer, SmartCache, cache_result, invalidate_page, invalidate_tags
from cache_admin.caching.warmers import Warmer
from cache_admin.monitoring import instrument
from cache_admin.monitoring.watching import watched_class

CALLERS = 20
ALIASES = ["default", "core", "locmem"]


class Tally:
    """A listener that counts keys by event and key."""

    def __init__(self) -> None:
        self.keys: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, alias: str, event: str, keys: Any, seconds: float, stored: Any = None) -> None:
        with self._lock:
            self.keys.update((event, str(key)) for key in keys)


@pytest.fixture
def tally(raw: Any) -> Iterator[Tally]:
    caches["locmem"].clear()
    listener = Tally()
    with instrument.listening(listener):
        yield listener


def slow() -> str:
    time.sleep(0.3)
    return "value"


def in_threads(call: Any) -> None:
    barrier = threading.Barrier(CALLERS)

    def caller() -> None:
        barrier.wait()
        assert call() == "value"

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("alias", ALIASES)
def test_twenty_callers_that_wait_are_twenty_misses_and_one_set(tally: Tally, alias: str) -> None:
    in_threads(lambda: SmartCache(alias).get_or_set_with_lock("report", slow, 60))
    assert tally.keys == {("miss", "report"): CALLERS, ("set", "report"): 1}
    SmartCache(alias).get_or_set_with_lock("report", slow, 60)
    assert tally.keys["hit", "report"] == 1


@pytest.mark.parametrize("alias", ALIASES)
def test_tasks_that_wait_are_counted_once_each(tally: Tally, alias: str) -> None:
    @cache_result(60, alias=alias, key="report")
    async def work() -> str:
        await asyncio.sleep(0.2)
        return "value"

    async def many() -> list[str]:
        return await asyncio.gather(*(work() for _ in range(CALLERS)))

    assert asyncio.run(many()) == ["value"] * CALLERS
    assert tally.keys == {("miss", "report"): CALLERS, ("set", "report"): 1}


@pytest.mark.parametrize("alias", ALIASES)
def test_stamps_of_tags_are_looked_up_once_with_the_value(tally: Tally, alias: str) -> None:
    work = cache_result(60, alias=alias, key="report", tags=["t"])(slow)
    in_threads(work)
    assert (tally.keys["miss", "report"], tally.keys["set", "report"], tally.keys["hit", "report"]) == (CALLERS, 1, 0)
    assert tally.keys["hit", "cache_tag:t"] + tally.keys["miss", "cache_tag:t"] == CALLERS
    assert ("set", "cache_tag:t") not in tally.keys
    tally.keys.clear()
    invalidate_tags("t", alias=alias)
    work.refresh()
    assert tally.keys == {("set", "report"): 1, ("set", "cache_tag:t"): 1}


@pytest.mark.parametrize("alias", ALIASES)
def test_who_gets_the_stale_value_hit(tally: Tally, alias: str) -> None:
    work = cache_result(0.05, alias=alias, key="report", stale=60)(slow)
    work()
    time.sleep(0.1)
    tally.keys.clear()
    in_threads(work)
    assert tally.keys == {("hit", "report"): CALLERS, ("set", "report"): 1}


def test_an_exception_and_an_invalidation_leave_no_trace_of_the_lock(tally: Tally) -> None:
    smart = SmartCache("locmem")
    with pytest.raises(ZeroDivisionError):
        smart.get_or_set_with_lock("k", lambda: 1 / 0, 60)
    smart.delete("k")
    assert tally.keys == {("miss", "k"): 1, ("delete", "k"): 1}


def test_a_warmer_is_heard_by_what_it_writes(tally: Tally) -> None:
    warmer = Warmer("books", lambda: {"a": 1}, alias="locmem")
    assert CacheWarmer.run([warmer])[0].state == "done"
    last = CacheWarmer.last(warmer)
    assert last
    assert last.written == 1
    assert tally.keys == {("set", "a"): 1}


def test_guessing_the_keys_of_a_page_misses_nothing(tally: Tally) -> None:
    assert invalidate_page("http://testserver/page/", alias="locmem") == 0
    assert not tally.keys


@pytest.mark.parametrize("alias", ALIASES)
def test_the_way_around_leads_to_the_same_cache(tally: Tally, alias: str) -> None:
    watched = caches[alias]
    plain = unwatched(watched)
    assert type(plain) is not type(watched)
    watched.set("k", 1)
    assert plain.get("k") == 1
    assert tally.keys == {("set", "k"): 1}


def test_without_a_watch_there_is_nothing_to_go_around() -> None:
    cache = CacheHandler().create_connection("locmem")
    assert unwatched(cache) is cache


@pytest.mark.parametrize("in_place", [True, False])
def test_every_watched_class_has_the_way_around(in_place: bool) -> None:
    kind = watched_class(type(CacheHandler().create_connection("dummy")), "dummy", in_place=in_place)
    assert issubclass(kind, BaseCache)
    assert hasattr(kind, PLAIN)

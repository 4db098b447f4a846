"""``refresh``: computes whatever is kept and whoever computes, and keeps no older facts than others know."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches

from cache_admin.caching import MISS, SmartCache, cache_result
from cache_admin.caching.envelope import Entry, seal
from cache_admin.caching.fetching import fresh_ticket, run, take
from cache_admin.caching.statistics import StatisticsCache
from cache_admin.caching.storing import Do, Flow, Policy, Request, store

Make = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, kind: str) -> Make:
    """Makes a cached function of a sync one: itself, or a coroutine function called in event loops of its own."""

    def made(body: Callable[[], Any], **options: Any) -> Any:
        if request.param == "sync":

            @cache_result(60, key="work", alias=kind, **options)
            def work() -> Any:
                return body()

            return work

        @cache_result(60, key="work", alias=kind, **options)
        async def awork() -> Any:
            return await asyncio.to_thread(body)

        class Blocking:
            def __call__(self) -> Any:
                return asyncio.run(awork())

            def __getattr__(self, name: str) -> Any:
                return lambda: asyncio.run(getattr(awork, name)())

        return Blocking()

    return made


def test_what_is_invalidated_while_it_is_refreshed_is_not_kept(kind: str, make: Make) -> None:
    values = itertools.count()

    def body() -> int:
        if (value := next(values)) == 1:
            SmartCache(kind).delete("work")
        return value

    work = make(body)
    assert (work(), work.refresh(), work.peek()) == (0, 1, MISS)
    assert (work.refresh(), work()) == (2, 2)
    assert not caches[kind].has_key("work:lock")


def test_what_began_before_a_refresh_is_not_kept_after_it(kind: str, make: Make) -> None:
    begun, go_on, values = threading.Event(), threading.Event(), itertools.count()

    def body() -> str:
        if next(values):
            return "newer"
        begun.set()
        go_on.wait(20)
        return "older"

    work, answers = make(body), []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    begun.wait(20)
    answers.append(work.refresh())
    go_on.set()
    thread.join()
    assert (answers, work.peek()) == (["newer", "older"], "newer")
    assert not caches[kind].has_key("work:lock")


def test_callers_wait_for_a_refresh_where_nothing_is_kept(kind: str, make: Make) -> None:
    begun, values = threading.Event(), itertools.count()

    def body() -> int:
        begun.set()
        time.sleep(0.2)
        return next(values)

    work, answers = make(body), []
    threads = [threading.Thread(target=lambda: answers.append(work())) for _ in range(3)]
    refreshing = threading.Thread(target=work.refresh)
    refreshing.start()
    begun.wait(20)
    for thread in threads:
        thread.start()
    for thread in [refreshing, *threads]:
        thread.join()
    assert (answers, next(values)) == ([0, 0, 0], 1)


def test_a_refresh_that_fails_leaves_what_is_kept_and_no_lock(kind: str, make: Make) -> None:
    values = ["kept"]
    work = make(lambda: values.pop())
    work()
    with pytest.raises(IndexError):
        work.refresh()
    assert work.peek() == "kept"
    assert not caches[kind].has_key("work:lock")


def test_a_refresh_without_a_lock_takes_none(kind: str, make: Make) -> None:
    work = make(lambda: caches[kind].has_key("work:lock"), lock=False)
    assert (work.refresh(), work.peek()) == (False, False)


def test_statistics_are_recalculated_in_the_same_way(kind: str) -> None:
    stats = StatisticsCache(kind)

    def compute(pk: int) -> int:
        SmartCache(kind).delete("statistics:sales:5")
        return pk

    assert stats.by_object("sales", 5, compute, recalculate=True) == 5
    assert SmartCache(kind).get("statistics:sales:5") is None


def one_by_one(alias: str, flow: Flow[None]) -> Iterator[None]:
    """Performs a flow, a step for each ``next``."""
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration:
            return
        assert isinstance(step, Do)
        answer = getattr(caches[alias], step.method)(*step.args)
        yield


def refreshing(request: Request) -> Flow[None]:
    ticket = yield from fresh_ticket(request)
    yield from store(request, ticket, "newer", time.time(), 0)


@pytest.mark.parametrize("stale", [True, False])
def test_older_facts_do_not_stay_whichever_step_comes_first(stale: bool, local: str) -> None:
    """One caller has computed older facts under the lock and stores them, while another refreshes."""
    cache, request = caches[local], Request(Policy(60, local, stale=60), "work")
    steps = 10
    for places in itertools.combinations(range(steps), 4):
        cache.clear()
        if stale:
            cache.set("work", seal(Entry("stale", time.time() - 100, time.time() - 1)))
        ticket: Any = run(take(request), local)
        older = one_by_one(local, store(request, ticket, "older", time.time(), 0))
        newer = one_by_one(local, refreshing(request))
        for place in range(steps):
            next(older if place in places else newer, None)
        assert [*older, *newer] == []
        assert SmartCache(local).get("work") in ("newer", None), places
        assert not cache.has_key("work:lock")

"""What the recorder counts: every operation once, under its pattern, from any thread, in bounded memory."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from cache_admin.adapters import adapter
from cache_admin.caching import cache_result, invalidate_tags
from cache_admin.caching.signals import computed
from cache_admin.monitoring import book, instrument, recorder, ticker
from cache_admin.monitoring.recorder import Recorder
from cache_admin.monitoring.usage import OTHER, ByPattern, Counts, total
from cache_admin.patterns import ID, fold

PRODUCT = b"product:" + ID


@pytest.fixture
def recording(raw: Any) -> Iterator[Recorder]:
    """A recorder at work, which has counted nothing."""
    caches["locmem"].clear()
    made = Recorder()
    with instrument.listening(made.record):
        yield made


def counted(made: Recorder, alias: str = "default") -> ByPattern:
    drained = made.drain()
    return drained[alias].counts if alias in drained else {}


def test_operations_are_counted_under_the_pattern_of_their_key(recording: Recorder) -> None:
    cache = caches["default"]
    for i in range(10):
        cache.set(f"product:{i}", "x" * i, 60)
    for i in range(20):
        cache.get(f"product:{i}", "default")
    cache.get_many(["product:1", "product:2", "product:99"])
    cache.delete("product:1")
    cache.touch("product:2", 5)
    found = counted(recording)[PRODUCT]
    assert (found.sets, found.hits, found.misses, found.deletes, found.others) == (10, 12, 11, 1, 1)
    assert found.size == sum(range(10))
    assert found.sized == 10
    assert found.micros > 0
    assert counted(recording) == {}


def test_a_stored_none_is_a_hit_and_a_default_is_none(recording: Recorder) -> None:
    cache = caches["default"]
    cache.set("none", None)
    assert cache.get("none", "default") is None
    assert cache.get("absent", "default") == "default"
    assert cache.get_or_set("none", lambda: 1) is None
    found = counted(recording)
    assert (found[b"none"].hits, found[b"none"].misses) == (2, 0)
    assert (found[b"absent"].hits, found[b"absent"].misses) == (0, 1)


def test_adding_counting_and_versions_are_no_look_ups(recording: Recorder) -> None:
    cache = caches["default"]
    cache.add("visits", 1)
    cache.add("visits", 1)
    cache.incr("visits")
    with pytest.raises(ValueError, match="not found"):
        cache.incr("absent")
    found = counted(recording)
    assert set(found) == {b"visits"}
    assert (found[b"visits"].sets, found[b"visits"].others, found[b"visits"].lookups) == (1, 1, 0)


@pytest.mark.parametrize("alias", ["default", "core", "json", "locmem"])
def test_the_counts_are_those_of_a_second_count(recording: Recorder, alias: str) -> None:
    """A wrapper around the methods counts beside the recorder, over a random run of all of them."""
    cache, rng, own = caches[alias], random.Random(5), Counter[tuple[bytes, str]]()
    missing = object()
    for _ in range(1_500):
        key = rng.choice([f"product:{rng.randrange(30)}", f"user:{rng.randrange(9)}:profile", "home"])
        pattern = fold(key.encode())
        match rng.randrange(5):
            case 0:
                cache.set(key, rng.random(), 60)
                own[pattern, "sets"] += 1
            case 1:
                own[pattern, "misses" if cache.get(key, missing) is missing else "hits"] += 1
            case 2:
                own[pattern, "hits" if key in cache else "misses"] += 1
            case 3:
                made: list[int] = []
                cache.get_or_set(key, lambda made=made: made.append(1) or 5, 60)
                own.update([(pattern, "misses"), (pattern, "sets")] if made else [(pattern, "hits")])
            case 4:
                cache.delete(key)
                own[pattern, "deletes"] += 1
    found = counted(recording, alias)
    names = ("hits", "misses", "sets", "deletes")
    assert {(p, n): getattr(c, n) for p, c in found.items() for n in names if getattr(c, n)} == dict(own)


def test_threads_and_tasks_lose_nothing(recording: Recorder) -> None:
    def work() -> None:
        for i in range(2_000):
            caches["locmem"].get(f"product:{i % 7}")

    async def tasks() -> None:
        await asyncio.gather(*(caches["locmem"].aget(f"product:{i}") for i in range(200)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    drained = [recording.drain() for _ in range(20)]
    for thread in threads:
        thread.join()
    async_to_sync(tasks)()
    drained.append(recording.drain())
    counts = [one["locmem"].counts[PRODUCT] for one in drained if "locmem" in one]
    assert total(counts).misses == 6 * 2_000 + 200


def test_a_rebuild_is_the_time_from_a_miss_to_its_set(recording: Recorder) -> None:
    cache = caches["locmem"]
    cache.get("report:1")
    time.sleep(0.05)
    cache.set("report:1", 1)
    cache.set("report:1", 2)  # not after a miss
    cache.get_or_set("report:2", lambda: time.sleep(0.05) or 1)
    found = counted(recording, "locmem")[b"report:" + ID]
    assert found.rebuilds == 2
    assert 0.05 <= (found.rebuild or 0) < 1
    assert found.lost == pytest.approx(2 * (found.rebuild or 0))


def test_computations_of_the_library_are_rebuilds_once(recording: Recorder) -> None:
    @cache_result(60, key="price:{pk}", tags=["price"])
    def price(pk: int) -> int:
        time.sleep(0.03)
        return pk

    def told(sender: object, alias: str, key: str, seconds: float, **kwargs: object) -> None:
        recording.computed(alias, key, seconds)

    computed.connect(told)
    try:
        price(1)
        invalidate_tags("price")
        price(1)  # found, but of another stamp
        price(1)
    finally:
        computed.disconnect(told)
    found = counted(recording)[b"price:" + ID]
    assert found.rebuilds == 2
    assert 0.03 <= (found.rebuild or 0) < 1


def test_callers_that_compute_one_key_at_once_are_duplicates(recording: Recorder) -> None:
    cache, barrier = caches["default"], threading.Barrier(5)

    def caller() -> None:
        barrier.wait()
        if caches["default"].get("report:1") is None:
            time.sleep(0.1)
            caches["default"].set("report:1", 1)

    threads = [threading.Thread(target=caller) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):  # one after the other is none
        cache.delete("report:2")
        cache.get("report:2")
        cache.set("report:2", 1)
    found = counted(recording)[b"report:" + ID]
    assert (found.rebuilds, found.duplicates) == (8, 4)
    assert 400_000 <= found.duplicate_micros < 4_000_000


@pytest.mark.parametrize("alias", ["default", "locmem"])
def test_tasks_of_one_thread_are_callers_of_their_own(recording: Recorder, alias: str) -> None:
    cache = caches[alias]

    async def caller(seconds: float) -> None:
        if await cache.aget("report:1") is None:
            await asyncio.sleep(seconds)
            await cache.aset("report:1", 1)

    async def callers() -> None:
        await asyncio.gather(*(caller(seconds) for seconds in (0.1, 0.3, 0.5)))

    asyncio.run(callers())  # whose tasks are gone when they are counted
    found = counted(recording, alias)[b"report:" + ID]
    assert (found.rebuilds, found.duplicates) == (3, 2)
    assert 0.88 <= found.rebuild_micros / 1e6 < 1.5
    assert 0.78 <= found.duplicate_micros / 1e6 < 1.4


@pytest.mark.parametrize("alias", ["default", "locmem"])
def test_tasks_that_compute_without_a_lock_are_duplicates(recording: Recorder, alias: str) -> None:
    @cache_result(60, key="price:{pk}", alias=alias, lock=False)
    async def price(pk: int) -> int:
        await asyncio.sleep(0.1)
        return pk

    def told(sender: object, alias: str, key: str, seconds: float, **kwargs: object) -> None:
        recording.computed(alias, key, seconds)

    async def callers() -> None:
        await asyncio.gather(*(price(1) for _ in range(5)))

    computed.connect(told)
    try:
        asyncio.run(callers())
    finally:
        computed.disconnect(told)
    found = counted(recording, alias)[b"price:" + ID]
    assert (found.rebuilds, found.duplicates) == (5, 4)
    assert 0.1 <= (found.rebuild or 0) < 1


def test_a_task_may_let_others_look_up_for_it(recording: Recorder) -> None:
    cache = caches["locmem"]

    async def page() -> None:
        await asyncio.gather(cache.aget("report:1"), cache.aget("report:2"))
        await asyncio.wait_for(cache.aget("report:3"), 5)
        await asyncio.sleep(0.05)
        for i in (1, 2, 3, 3):
            await cache.aset(f"report:{i}", 1)

    asyncio.run(page())
    found = counted(recording, "locmem")[b"report:" + ID]
    assert (found.rebuilds, found.duplicates) == (3, 0)
    assert 0.05 <= (found.rebuild or 0) < 1


def test_threads_that_a_task_started_are_callers_of_their_own(recording: Recorder) -> None:
    def work() -> None:
        if caches["locmem"].get("report:1") is None:
            time.sleep(0.1)
            caches["locmem"].set("report:1", 1)

    @cache_result(60, alias="locmem")
    async def page() -> None:
        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(3)))

    asyncio.run(page())
    found = counted(recording, "locmem")[b"report:" + ID]
    assert (found.rebuilds, found.duplicates) == (3, 2)


def test_what_is_gone_before_its_expiry_is_an_early_miss(recording: Recorder, raw: Any) -> None:
    cache = caches["default"]
    cache.set_many({"a:1": 1, "a:2": 2, "a:3": 3, "a:4": 4}, 600)
    cache.set("a:5", 5, 1)
    raw.flushall()  # as an eviction does, behind the back of the application
    cache.get("a:1")
    cache.get("a:1")  # told once
    cache.delete("a:2")
    cache.get("a:2")
    time.sleep(1.1)
    cache.get("a:5")
    assert counted(recording)[b"a:" + ID].early == 1


def test_an_error_of_the_cache_is_counted_and_raised(recording: Recorder) -> None:
    with pytest.raises(ZeroDivisionError):
        caches["locmem"].get_or_set("report:1", lambda: 1 / 0)
    found = counted(recording, "locmem")[b"report:" + ID]
    assert (found.misses, found.errors, found.sets) == (1, 1, 0)


def test_bookkeeping_and_what_settings_ignore_are_not_counted(recording: Recorder, settings: Any) -> None:
    settings.CACHE_ADMIN = {"RECORDING": False, "RECORDING_IGNORES": ["noise:*"], "RECORDED_ALIASES": ["default"]}
    caches["default"].get("noise:1")
    caches["default"].get("signal:1")
    caches["locmem"].get("signal:1")
    drained = recording.drain()
    assert {alias: set(one.counts) for alias, one in drained.items()} == {"default": {b"signal:" + ID}}


def test_a_share_is_scaled_up(recording: Recorder, settings: Any) -> None:
    settings.CACHE_ADMIN = {"RECORDING": False, "RECORDING_SHARE": 0.2}
    for _ in range(5_000):
        caches["locmem"].get("product:1")
    assert counted(recording, "locmem")[PRODUCT].misses == pytest.approx(5_000, rel=0.2)


def test_computations_are_counted_in_the_same_share(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHE_ADMIN = {"RECORDING_SHARE": 0.25}
    drawn = itertools.cycle([0.1, 0.3, 0.5, 0.9])
    monkeypatch.setattr("cache_admin.monitoring.recorder.random", lambda: next(drawn))
    made = Recorder()
    for i in range(8):
        made.computed("locmem", f"price:{i}", 0.1)
    assert counted(made, "locmem")[b"price:" + ID].rebuilds == 8


def test_computations_are_not_counted_while_recording_is_off(settings: Any) -> None:
    recorder.recorder.forget()
    settings.CACHE_ADMIN = {"RECORDING": False}
    computed.send("price", alias="locmem", key="price:1", seconds=0.1)
    assert recorder.recorder.drain() == {}


@pytest.mark.parametrize(("given", "early"), [("600", 1), ("never", 1), ("1", 0)])
def test_a_timeout_of_the_settings_may_be_a_text(given: str, early: int, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "locmem": {**settings.CACHES["locmem"], "TIMEOUT": given}}
    made = Recorder()
    made.record("locmem", "set", ["a:1"], 0.0, ((1,), DEFAULT_TIMEOUT))
    made.record("locmem", "miss", ["a:1"], 0.0)
    found = counted(made, "locmem")[b"a:" + ID]
    assert (found.sets, found.early) == (1, early)


def test_a_timeout_that_only_its_backend_reads_costs_no_count() -> None:
    made = Recorder()
    made.record("locmem", "set", ["a:1"], 0.0, ((1,), timedelta(hours=1)))
    made.record("locmem", "miss", ["a:1"], 0.0)
    found = counted(made, "locmem")[b"a:" + ID]
    assert (found.sets, found.early) == (1, 0)


def test_keys_of_any_make_are_no_trouble(recording: Recorder) -> None:
    class Odd:
        def __str__(self) -> str:
            raise AssertionError("called")

    recording.record("locmem", "hit", [Odd(), 5, "\ud800", b"raw", "é" * 2_000], 0.0)
    recording.record("locmem", "miss", [["unhashable"]], 0.0)
    recording.record("locmem", "clear", (), 0.0)
    assert sum(one.hits for one in counted(recording, "locmem").values()) == 3


def test_memory_is_bounded_whatever_the_keys(recording: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_PATTERNS", 20)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for i in range(30_000):
        word = "".join(letters[i // 26**power % 26] for power in range(4))
        recording.record("locmem", "miss", (f"{word}{'/' * (i % 97)}end",), 0.0)
        recording.record("locmem", "set", (f"{word}:{i % 13}:z",), 0.0, ((None,), 600))
    held = recording._books["locmem"]
    assert held is not None
    assert len(held._rows) <= book.MOST_KEYS
    assert len(held._open) <= book.MOST_OPEN
    assert len(held._expected) <= book.MOST_EXPECTED
    assert len(recording._queue) <= recorder.BATCH
    found = counted(recording, "locmem")
    assert len(found) <= 21
    assert sum(one.misses for one in found.values()) == sum(one.sets for one in found.values()) == 30_000
    assert found[OTHER].operations > 0


def test_what_is_drained_goes_through_json_without_loss() -> None:
    from cache_admin.monitoring.usage import dump, load

    counts = {b"a:\x00:\x01": Counts(hits=3, early=2), b"\xff\x02": Counts(misses=1), OTHER: Counts(sets=9)}
    assert "\x00" not in "".join(dump(counts))
    assert load(dump(counts)) == counts
    assert dump({b"a": Counts(hits=3, misses=1)}) == {"a": [3, 1]}
    assert load({"a": [*range(14), 99]})[b"a"].early == 13


def test_the_ticker_writes_nothing_under_a_test_runner() -> None:
    assert ticker.under_test()
    ticker.ticker.ensure()
    assert ticker.ticker._thread is None


def test_a_request_never_fails_with_what_is_done_beside_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def no_database() -> None:
        raise ImproperlyConfigured("settings.DATABASES is empty")

    made = ticker.Ticker()
    monkeypatch.setattr(ticker, "under_test", lambda: False)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    monkeypatch.setattr(ticker.flushing, "flush", no_database)
    for _ in range(2):
        made.ensure()
        made._beat = float("-inf")
        made.finish_request()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "The cache admin could not start its thread.",
        "A job of the cache admin failed",
        "A job of the cache admin failed",
    ]


def test_a_process_that_forks_has_the_jobs_of_its_parent_at_the_same_time() -> None:
    made = ticker.Ticker()
    made.jobs = [ticker.Job(60.0, print, due=123.0)]
    before = made.jobs[0]
    made.forked()
    assert made.jobs == [before]
    assert made.jobs[0] is not before


@pytest.mark.parametrize("alias", ["default", "core", "locmem"])
def test_what_the_dashboard_looks_up_itself_is_not_counted(recording: Recorder, alias: str) -> None:
    caches[alias].set("product:1", 1)
    recording.drain()
    own = adapter(alias)
    assert own.exists("product:1")
    assert not own.exists("product:2")
    own.delete_user_key("product:1")
    assert recording.drain() == {}

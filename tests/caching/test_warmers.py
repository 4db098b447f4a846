from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.db import connections

from cache_admin.caching import warming
from cache_admin.caching.owners import owner_of
from cache_admin.caching.signals import warmed
from cache_admin.caching.warmers import Warmer, chosen, discover, warmer, warmers
from cache_admin.caching.warming import BATCH, CacheWarmer, Result
from tests.shop_models.models import Unrelated

Make = Callable[..., Warmer]


@pytest.fixture
def make(cache) -> Iterator[Make]:
    """Registers a warmer for one test."""
    before = dict(warmers._entries)
    warmers._entries.clear()

    def register(function: Callable[[], Any], name: str = "products", **options: Any) -> Warmer:
        warmer(name, **options)(function)
        return warmers.get(name)

    yield register
    warmers._entries.clear()
    warmers._entries.update(before)


def run(*todo: Warmer, **options: Any) -> list[Result]:
    return list(CacheWarmer.run(todo, **options))


def test_pairs_are_written_in_batches_with_their_life(make, raw: redis.Redis, monkeypatch):
    writes: list[int] = []
    kind = type(caches["default"])
    set_many = kind.set_many
    monkeypatch.setattr(
        kind, "set_many", lambda self, data, *a, **k: writes.append(len(data)) or set_many(self, data, *a, **k)
    )
    one = make(lambda: ((f"product:{n}", n) for n in range(BATCH * 2 + 1)), timeout=60)
    [result] = run(one)
    assert (result.state, result.written, result.error) == ("done", BATCH * 2 + 1, "")
    assert writes == [BATCH, BATCH, 1]
    assert caches["default"].get("product:1000") == 1000
    assert 0 < raw.ttl("shop:1:product:7") <= 60


def test_every_kind_of_cache_is_filled_by_one_run_at_a_time(make, kind: str, monkeypatch):
    monkeypatch.setattr(warming, "BATCH", 50)

    def pairs() -> Iterator[tuple[str, Any]]:
        assert run(one)[0].state == "refused"
        for number in range(101):
            yield f"product:{number}", None if number else "first"

    one = make(pairs, alias=kind, timeout=60)
    [result] = run(one)
    assert (result.state, result.written, result.error) == ("done", 101, "")
    assert [caches[kind].get(f"product:{number}", "gone") for number in (0, 50, 100)] == ["first", None, None]
    assert not caches[kind].has_key("cache_warm:products:lock")
    assert CacheWarmer.last(one) == result


@pytest.mark.parametrize(
    ("returned", "written"),
    [(lambda: {"a": 1, "b": None}, 2), (lambda: 7, 7), (lambda: None, 0), (lambda: [("a", iter([1, 2]))], 1)],
)
def test_a_warmer_may_return_pairs_or_how_many_it_wrote_itself(make, returned, written: int):
    [result] = run(make(returned))
    assert (result.state, result.written) == ("done", written)


def test_a_coroutine_function_is_a_warmer(make):
    async def fill() -> dict[str, int]:
        return {"a": 1}

    assert run(make(fill))[0].written == 1


def test_an_async_generator_is_a_warmer(make):
    async def pairs() -> Any:
        for number in range(3):
            yield f"a:{number}", number

    one = make(pairs)
    assert run(one)[0].written == 3
    assert caches["default"].get("a:2") == 2
    assert (one.yields, one.fresh("a:1")) == (True, 1)


def test_one_that_raises_is_counted_named_and_stops_nothing(make, caplog):
    def broken() -> Iterator[tuple[str, int]]:
        yield from ((f"k{n}", n) for n in range(BATCH))
        raise ValueError("no stock")

    first, last = make(broken, "broken"), make(lambda: {"a": 1}, "good")
    results = run(first, last)
    assert [(r.name, r.state, r.written, r.error) for r in results] == [
        ("broken", "failed", BATCH, "ValueError: no stock"),
        ("good", "done", 1, ""),
    ]
    assert "no stock" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_ends_its_thread_is_a_failure_at_once(make, error):
    def leaves() -> None:
        raise error

    began = time.monotonic()
    results = run(make(leaves, "leaves"), make(lambda: {"a": 1}, "good"))
    assert [result.state for result in results] == ["failed", "done"]
    assert time.monotonic() - began < 2
    assert not caches["default"].get("cache_warm:leaves:lock")


@pytest.mark.parametrize("returned", ["text", [1, 2], [("a",)], {1: 2}, [("k", object)], 3.5, True, -1])
def test_what_is_no_pair_is_a_failure_in_words(make, returned):
    [result] = run(make(lambda: returned, "odd"))
    assert result.state == ("failed" if returned in ("text", [1, 2], [("a",)], 3.5) else "done")
    assert bool(result.error) is (result.state == "failed")


def test_one_that_hangs_is_left_behind_at_its_limit(make):
    release = threading.Event()
    hangs, good = make(lambda: release.wait(5) and None, "hangs", limit=0.1), make(lambda: {"a": 1}, "good")
    began = time.monotonic()
    results = run(hangs, good, concurrent=2)
    release.set()
    assert [result.state for result in results] == ["late", "done"]
    assert "0.1 seconds" in results[0].error
    assert time.monotonic() - began < 2


def test_one_that_yields_stops_at_its_limit_by_itself(make):
    def slow() -> Iterator[tuple[str, int]]:
        for number in range(10**9):
            yield f"k{number % 10}", number

    [result] = run(make(slow, limit=0.1))
    assert (result.state, result.written > 0) == ("late", True)


def test_a_second_run_at_the_same_time_is_refused(make):
    begun, release = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        release.wait(5)

    one = make(slow)
    box: list[Result] = []
    thread = threading.Thread(target=lambda: box.extend(run(one)))
    thread.start()
    assert begun.wait(5)
    assert run(one)[0].state == "refused"
    release.set()
    thread.join()
    assert [result.state for result in box] == ["done"]
    assert run(one)[0].state == "done"


def test_the_lock_of_a_killed_run_expires(make, raw: redis.Redis):
    one = make(lambda: {"a": 1}, limit=30)
    caches["default"].add("cache_warm:products:lock", 1, 40)
    assert run(one)[0].state == "refused"
    assert 0 < raw.ttl("shop:1:cache_warm:products:lock") <= 40


def test_several_run_at_a_time_but_no_more_than_asked(make):
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.03)
        with lock:
            running -= 1

    todo = [make(work, f"w{number}") for number in range(6)]
    results = run(*todo, concurrent=3)
    assert ([result.name for result in results], most) == ([one.name for one in todo], 3)
    with pytest.raises(ValueError, match="at least 1"):
        run(*todo, concurrent=0)


@pytest.mark.django_db(transaction=True)
def test_database_connections_of_the_threads_are_closed(make):
    closed: list[bool] = []
    ours = connections["default"]

    def read() -> int:
        count = Unrelated.objects.count()
        inner = connections["default"]
        assert inner is not ours
        close = inner.close

        def noted() -> None:
            close()
            closed.append(inner.connection is None)

        inner.close = noted
        return count

    assert run(make(read), make(lambda: 1 / 0, "broken"))[0].state == "done"
    assert closed == [True]


def test_a_stop_ends_what_runs_and_what_waits(make):
    stop = threading.Event()

    def endless() -> Iterator[tuple[str, int]]:
        for number in range(10**9):
            yield f"k{number % 10}", number

    def progress(name: str, written: int) -> None:
        if written >= BATCH * 2:
            stop.set()

    results = run(make(endless, "endless"), make(lambda: {"a": 1}, "waits"), progress=progress, stop=stop)
    assert [(result.state, result.written) for result in results] == [("stopped", BATCH * 2), ("stopped", 0)]


def test_one_that_is_deaf_is_left_behind_on_a_stop(make, monkeypatch):
    monkeypatch.setattr(warming, "_PATIENCE", 0.1)
    stop, release = threading.Event(), threading.Event()
    stopper = threading.Timer(0.05, stop.set)
    stopper.start()
    [result] = run(make(lambda: release.wait(5) and None), stop=stop)
    release.set()
    stopper.join()
    assert (result.state, result.error) == ("stopped", "It did not heed the stop.")


def test_entries_that_the_cache_refused_are_a_failure(make, monkeypatch):
    kind = type(caches["locmem"])
    monkeypatch.setattr(kind, "set_many", lambda self, data, *a, **k: ["a"])
    [result] = run(make(lambda: {"a": 1, "b": 2}, alias="locmem"))
    assert (result.state, result.written) == ("failed", 1)
    assert "1 of 2" in result.error


@pytest.mark.parametrize("backend", ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"])
@pytest.mark.parametrize("location", ["redis://127.0.0.1:9/0", "unix:///nowhere/server.sock"])
def test_a_cache_that_is_down_is_a_failure_and_not_an_exception(make, settings, backend: str, location: str):
    settings.CACHES = {**settings.CACHES, "down": {"BACKEND": backend, "LOCATION": location}}
    [result] = run(make(lambda: {"a": 1}, alias="down", limit=10))
    assert (result.state, "down: refused connection" in result.error) == ("failed", True), result.error


def test_a_message_holds_no_login(make):
    def broken() -> None:
        raise RuntimeError("no answer from https://shop:secret@stock.example/feed")

    [result] = run(make(broken))
    assert result.error == "RuntimeError: no answer from https://…@stock.example/feed"


def test_the_lock_is_renewed_while_it_runs(make, raw: redis.Redis, monkeypatch):
    monkeypatch.setattr(warming, "LOCK_SECONDS", 0.3)
    begun, release = threading.Event(), threading.Event()
    one = make(lambda: begun.set() or (release.wait(5) and None))
    thread = threading.Thread(target=run, args=(one,))
    thread.start()
    assert begun.wait(5)
    time.sleep(1.5)
    assert run(one)[0].state == "refused"
    release.set()
    thread.join()
    assert raw.ttl("shop:1:cache_warm:products:lock") == -2


def test_the_last_run_is_remembered_for_all_processes(make, cache):
    one = make(lambda: {"a": 1}, every=60)
    assert (CacheWarmer.last(one), CacheWarmer.due()) == (None, (one,))
    [result] = run(one)
    assert CacheWarmer.last(one) == result
    assert CacheWarmer.due() == ()
    assert CacheWarmer.due(time.time() + 61) == (one,)


def test_one_that_failed_is_due_again(make):
    one = make(lambda: 1 / 0, every=60)
    run(one)
    assert CacheWarmer.due() == (one,)
    make(lambda: 0, "never", every=None)
    assert CacheWarmer.due() == (one,)


def test_the_end_of_each_is_signalled(make):
    told: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        told.append(kwargs)

    warmed.connect(receiver)
    try:
        run(make(lambda: {"a": 1}), make(lambda: 1 / 0, "broken"))
    finally:
        warmed.disconnect(receiver)
    assert [(one["sender"], one["written"], str(one["error"])) for one in told] == [
        ("products", 1, "None"),
        ("broken", 0, "ZeroDivisionError: division by zero"),
    ]


def test_critical_ones_groups_and_names_are_chosen(make):
    a = make(lambda: 1, "a", group="shop", critical=True)
    b = make(lambda: 2, "b", group="shop")
    c = make(lambda: 3, "c")
    assert chosen() == (a, b, c)
    assert (chosen(group="shop"), chosen(critical=True), chosen(["c", "a", "c"])) == ((a, b), (a,), (c, a))
    assert [result.name for result in CacheWarmer.warm_critical_caches()] == ["a"]
    assert [result.written for result in CacheWarmer.warm("c")] == [3]
    for wrong in (lambda: chosen(["d"]), lambda: chosen(group="x")):
        with pytest.raises(LookupError, match="known: "):
            wrong()


def test_a_name_is_taken_once_but_a_module_may_come_again(make):
    def fill() -> None: ...

    one = make(fill)
    assert make(fill) is one
    with pytest.raises(ValueError, match="registered already"):
        make(lambda: None)


def test_warmers_are_found_in_the_caching_module_of_an_app():
    discover()
    found = warmers.get("tests-shop-brands")
    assert found.function.__module__ == "tests.shop_models.caching"


def test_keys_of_a_warmer_have_an_owner_and_a_fresh_value(make):
    def pairs() -> Iterator[tuple[str, str]]:
        yield "brand:1", "a"
        yield "brand:2", "b"
        raise AssertionError("it goes no further than it must")

    make(pairs, "brands", patterns=["brand:*"])
    owner = owner_of("default", "brand:2")
    assert owner
    assert (owner.kind, owner.name) == ("warmer", "brands")
    assert owner.recompute
    assert owner.recompute("brand:2", "") == "b"
    assert caches["default"].get("brand:2") is None


def test_a_warmer_that_may_write_by_itself_is_never_run_to_compare(make):
    make(lambda: {"name:1": "a"}, "names", patterns=["name:*"])
    owner = owner_of("default", "name:1")
    assert owner
    assert (owner.name, owner.recompute) == ("names", None)


def test_a_key_that_a_warmer_no_longer_makes_is_said_so(make):
    def pairs() -> Iterator[tuple[str, str]]:
        yield "brand:1", "a"

    with pytest.raises(LookupError, match="The warmer brands no longer makes this key"):
        make(pairs, "brands").fresh("brand:3")

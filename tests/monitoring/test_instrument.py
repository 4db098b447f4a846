"""Watched caches answer as plain ones do, and listeners hear what was asked, once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import BaseCache, CacheHandler, cache, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.management import call_command
from django.test import override_settings
from embedded import Server

from cache_admin.adapters import adapter
from cache_admin.adapters.fallback import FallbackAdapter
from cache_admin.monitoring import instrument, listeners
from cache_admin.monitoring.watched import Watched

OWN = f"{__package__}.caches_of_own"
KINDS = ["default", "core", "json", "locmem", "dummy", "db", "file"]
CREATE = CacheHandler.create_connection


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.seconds: list[float] = []
        self.stored: list[Any] = []

    def __call__(self, alias: str, event: str, keys: Any, seconds: float, stored: Any = None) -> None:
        self.calls.append((alias, event, tuple(keys)))
        self.seconds.append(seconds)
        self.stored.append(stored)

    def take(self) -> list[str]:
        """What was heard since the last time, as "event key key"."""
        heard = [" ".join([event, *map(str, keys)]) for _alias, event, keys in self.calls]
        self.calls.clear()
        return heard


@pytest.fixture
def heard() -> Iterator[Heard]:
    """A listener at work. Afterwards all is as it was."""
    listener = Heard()
    with instrument.listening(listener):
        yield listener
    assert CacheHandler.create_connection is CREATE


@pytest.fixture
def more_caches(tmp_path: Path, db: None) -> Iterator[None]:
    """Aliases "db" and "file" beside the others, and no cache object from before."""
    more = {
        "db": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"},
        "file": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)},
    }
    with override_settings(CACHES={**settings.CACHES, **more}):
        call_command("createcachetable", verbosity=0)
        yield


@pytest.fixture
def own_cache(heard: Heard) -> Iterator[Callable[[str], BaseCache]]:
    """Makes a cache of one of the classes of ``caches_of_own``, known as "own"."""
    caches["locmem"].clear()
    with override_settings(CACHES={**settings.CACHES, "own": {}}):

        def make(name: str) -> BaseCache:
            caches.settings["own"] = {"BACKEND": f"{OWN}.{name}", "LOCATION": f"own-{name}"}
            made = caches["own"]
            made.clear()
            heard.take()
            return made

        yield make


def use(the: BaseCache) -> Iterator[Any]:
    """Every method of a cache, with its answer."""
    yield the.clear() and None
    yield the.get("a")
    yield the.get("a", "default")
    yield the.get(key="a", default="default", version=2)
    yield the.set("a", 1) and None
    yield the.get("a")
    yield the.get("a", version=2)
    yield the.set("none", None, timeout=60, version=1) and None
    yield the.get("none", "default")
    yield the.add("a", 2)
    yield the.add(key="b", value=2, timeout=60)
    yield the.has_key("a"), "a" in the, the.has_key("no"), "no" in the
    yield the.get_many(["a", "b", "no", "a"])
    yield the.get_many(key for key in ("a", "b"))
    yield the.get_many(["a"], version=2)
    yield the.set_many({"c": 3, "d": 4}, 60)
    yield the.get_or_set("c", 30), the.get_or_set("e", 5), the.get_or_set("f", lambda: 6, timeout=60, version=1)
    yield bool(the.touch("a")), bool(the.touch("no", 60)), bool(the.touch("a", timeout=None, version=1))
    if the.get("a") is not None:
        yield the.incr("a"), the.incr("a", delta=5), the.decr("a"), the.decr("a", 2)
        yield the.incr_version("b"), the.get("b", version=2), the.decr_version("b", version=2), the.get("b")
    with pytest.raises(ValueError, match="not found"):
        the.incr("no")
    yield the.delete("a"), the.delete("a"), the.delete("b", version=1)
    yield the.delete_many(["c", "no"]) and None
    yield the.delete_many(key for key in ("d", "e")) and None
    yield the.get_many(["a", "b", "c", "d", "e", "f"])
    yield the.make_key("a", 3), the.key_prefix, the.version, the.default_timeout
    yield the.close()


async def ause(the: BaseCache) -> list[Any]:
    """Every coroutine of a cache, with its answer."""
    answers: list[Any] = [
        await the.aclear() and None,
        await the.aget("a"),
        await the.aget("a", "default", version=1),
        await the.aset("a", 1) and None,
        await the.aset("none", None) and None,
        await the.aget("none", "default"),
        await the.aadd("a", 2),
        await the.aadd("b", 2, timeout=60),
        await the.ahas_key("a"),
        await the.ahas_key("no"),
        await the.aget_many(["a", "b", "no"]),
        await the.aset_many({"c": 3, "d": 4}, 60),
        await the.aget_or_set("c", 30),
        await the.aget_or_set("e", lambda: 5),
        bool(await the.atouch("a")),
        bool(await the.atouch("no")),
    ]
    if await the.aget("a") is not None:
        answers += [await the.aincr("a"), await the.adecr("a", 2), await the.aincr_version("b")]
        answers += [await the.adecr_version("b", version=2)]
    answers += [await the.adelete("a"), await the.adelete_many(["c", "d"]) and None, await the.aget_many(["a", "e"])]
    return [*answers, await the.aclose()]


@pytest.mark.parametrize("alias", KINDS)
def test_a_watched_cache_answers_as_a_plain_one(alias: str, raw: Any, more_caches: None) -> None:
    plain = list(use(caches[alias])), async_to_sync(ause)(caches[alias])
    with instrument.listening(Heard()):
        assert isinstance(caches[alias], Watched)
        assert (list(use(caches[alias])), async_to_sync(ause)(caches[alias])) == plain
        made = caches.create_connection(alias)
        assert isinstance(made, Watched)
        assert (list(use(made)), async_to_sync(ause)(made)) == plain


@pytest.mark.parametrize("alias", [kind for kind in KINDS if kind != "dummy"])
@pytest.mark.parametrize("existing", [True, False])
def test_every_operation_is_heard_once(
    alias: str, existing: bool, raw: Any, more_caches: None, request: pytest.FixtureRequest
) -> None:
    if existing:
        caches[alias].clear()
    heard = request.getfixturevalue("heard")
    for _answer in use(caches[alias]):
        pass
    assert heard.take() == [
        *("clear", "miss a", "miss a", "miss a", "set a", "hit a", "miss a", "set none", "hit none", "set b"),
        *("hit a", "hit a", "miss no", "miss no"),
        *("hit a b", "miss no", "hit a b", "miss a"),
        *("set c d", "hit c", "miss e", "set e", "miss f", "set f"),
        *("touch a", "touch no", "touch a", "hit a", "incr a", "incr a", "incr a", "incr a"),
        *("set b", "hit b", "set b", "hit b"),
        *("delete a", "delete a", "delete b", "delete c no", "delete d e", "hit f", "miss a b c d e"),
    ]


@pytest.mark.parametrize("alias", [kind for kind in KINDS if kind != "dummy"])
def test_every_coroutine_is_heard_once(alias: str, raw: Any, more_caches: None, heard: Heard) -> None:
    async_to_sync(ause)(caches[alias])
    assert heard.take() == [
        *("clear", "miss a", "miss a", "set a", "set none", "hit none", "set b", "hit a", "miss no"),
        *("hit a b", "miss no", "set c d", "hit c", "miss e", "set e", "touch a", "touch no"),
        *("hit a", "incr a", "incr a", "set b", "set b", "delete a", "delete c d", "hit e", "miss a"),
    ]


def test_a_cache_that_keeps_nothing_hits_nothing(heard: Heard) -> None:
    for _answer in use(caches["dummy"]):
        pass
    assert not [call for call in heard.take() if call.startswith("hit")]


def test_listeners_hear_alias_and_seconds(heard: Heard) -> None:
    caches["locmem"].set("a", 1)
    caches["dummy"].get("a")
    cache_calls = heard.calls
    assert cache_calls == [("locmem", "set", ("a",)), ("dummy", "miss", ("a",))]
    assert all(0 < seconds < 1 for seconds in heard.seconds)


def test_the_time_of_the_callers_function_is_not_the_caches(heard: Heard) -> None:
    caches["locmem"].clear()
    caches["locmem"].get_or_set("a", lambda: threading.Event().wait(0.1))
    assert heard.take() == ["clear", "miss a", "set a"]
    assert sum(heard.seconds) < 0.1


def test_cache_calls_of_the_callers_function_are_heard(heard: Heard) -> None:
    the = caches["locmem"]
    the.clear()
    heard.take()

    def outer() -> int:
        return int(the.get_or_set("inner", lambda: 1)) + (caches["dummy"].get("x") or 0)

    assert the.get_or_set("outer", outer) == 1
    assert heard.take() == ["miss outer", "miss inner", "set inner", "miss x", "set outer"]

    async def nested() -> None:
        await the.aset("outer", 1)
        assert await the.aget_or_set("again", lambda: the.get("outer")) == 1

    async_to_sync(nested)()
    assert heard.take() == ["set outer", "miss again", "hit outer", "set again"]


def test_a_function_that_raises_was_a_miss_and_an_error(heard: Heard) -> None:
    caches["locmem"].clear()
    with pytest.raises(ZeroDivisionError):
        caches["locmem"].get_or_set("a", lambda: 1 / 0)
    assert heard.take() == ["clear", "miss a", "error a"]


def test_counting_up_what_is_not_there_is_no_error_of_the_cache(heard: Heard) -> None:
    with pytest.raises(ValueError, match="not found"):
        caches["locmem"].incr("absent")
    assert heard.take() == []


def test_what_is_stored_is_told_with_its_timeout(heard: Heard) -> None:
    the = caches["locmem"]
    the.clear()
    the.set("a", "text", 30)
    the.add("b", b"bytes")
    the.set_many({"c": 1, "d": 2}, timeout=5)
    the.get_or_set("e", lambda: "made", 9)
    the.get("a")
    assert [stored for stored in heard.stored if stored] == [
        ((4,), 30),
        ((5,), DEFAULT_TIMEOUT),
        ([None, None], 5),
        ((4,), 9),
    ]


def test_a_cache_that_asks_another_is_heard_with_it(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    assert own_cache("TwoLevels").get("a", 7) == 7
    assert heard.calls == [("locmem", "miss", ("a",)), ("own", "miss", ("a",))]


def test_errors_of_the_cache_reach_the_caller_and_are_told(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    the = own_cache("Failing")
    for call in (lambda: the.get("a"), lambda: the.get_or_set("a", 1), lambda: the.get_many(["a"])):
        with pytest.raises(ConnectionError, match="down"):
            call()
    assert heard.take() == ["error a"] * 3


def test_arguments_of_a_class_are_passed_on(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    the: Any = own_cache("MoreArguments")
    assert the.get("a", None, None, "client") == the.get("a", client="client") == "client"
    assert the.set("a", 1, nx=True) is True
    assert the.set("a", 1, nx=True) is False
    assert the.set_many({"b": 1, "refused": 2}) == ["refused"]
    assert heard.take() == ["hit a", "hit a", "set a", "set b"]


def test_a_class_that_does_something_to_what_it_gets_is_asked_with_the_callers_default(
    heard: Heard, own_cache: Callable[[str], BaseCache]
) -> None:
    the = own_cache("Packed")
    assert the.get("a") is None
    assert async_to_sync(the.aget)("a") is None
    the.set("a", b"value")
    assert the.get("a") == async_to_sync(the.aget)("a") == b"value"
    assert heard.take() == ["miss a", "miss a", "set a", "hit a", "hit a"]


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("name", ["NotingLocal", "NotingServer", "ComputingForNone", "NativeAsync"])
def test_a_stored_none_is_found_by_a_class_with_a_get_of_its_own_too(
    name: str, in_place: bool, server: Server, raw: Any
) -> None:
    own = {"BACKEND": f"{OWN}.{name}", "LOCATION": server.url if name == "NotingServer" else f"own-{name}"}
    heard = Heard()
    with override_settings(CACHES={**settings.CACHES, "own": own}):
        the: Any = caches["own"] if in_place else None
        with instrument.listening(heard):
            the = the or caches["own"]
            the.clear()
            the.set("none", None)
            the.set("five", 5)
            answers = [the.get("none"), the.get("five", 5), the.get("absent"), the.get("absent", 5), the.get("five")]
            if name != "NativeAsync":
                answers += [async_to_sync(the.aget)("none"), async_to_sync(the.aget)("absent", 5)]
        assert answers == [None, 5, None, 5, 5, None, 5][: len(answers)]
        assert (
            heard.take()[3:]
            == [*("hit none", "hit five", "miss absent", "miss absent", "hit five", "hit none", "miss absent")][
                : len(answers)
            ]
        )
        if name.startswith("Noting"):
            assert the.seen == answers


def test_what_a_class_of_its_own_makes_of_a_miss_is_its_answer(
    heard: Heard, own_cache: Callable[[str], BaseCache]
) -> None:
    the = own_cache("ComputingForNone")
    assert the.get("computed") == "computed computed"
    assert heard.take() == ["hit computed"]


def test_what_a_class_of_its_own_no_longer_gives_is_a_miss(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    the = own_cache("Expiring")
    the.set("a", None, 60)
    the.set("b", "value", 0)
    assert (the.get("a", 1), the.get("b"), the.get("b", 1)) == (None, None, 1)
    assert heard.take() == ["set a", "set b", "hit a", "miss b", "miss b"]


@pytest.mark.parametrize("name", ["OldStyle", "OlderStyle"])
def test_a_class_that_no_other_may_inherit_from_is_asked_as_it_is(
    name: str, heard: Heard, own_cache: Callable[[str], BaseCache]
) -> None:
    the = own_cache(name)
    the.set("a", 1)
    assert (the.get("a"), the.get("b", 2)) == (1, 2)
    assert heard.take() == ["set a", "hit a", "miss b"]


def test_parameters_of_other_names_are_no_trouble(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    the: Any = own_cache("OtherNames")
    assert the.delete(name="a") is False
    assert the.delete("a") is False
    assert heard.take() == ["delete a"]


def test_coroutines_of_a_class_of_its_own_are_heard(heard: Heard, own_cache: Callable[[str], BaseCache]) -> None:
    assert async_to_sync(own_cache("NativeAsync").aget)("a", 5) == 5
    assert heard.take() == ["miss a"]


@pytest.mark.parametrize("name", ["WithFinaliser", "WithSlots", "Sealed"])
def test_a_class_that_cannot_be_watched_is_left_alone(
    name: str, heard: Heard, own_cache: Callable[[str], BaseCache]
) -> None:
    the = own_cache(name)
    assert not isinstance(the, Watched)
    assert the.get("a", 5) == 5
    assert heard.take() == []


def test_what_is_no_base_cache_is_left_alone(heard: Heard) -> None:
    no_base = {"BACKEND": "tests.adapters.backends.NoBaseCache"}
    with override_settings(CACHES={**settings.CACHES, "own": no_base}):
        assert type(caches["own"]).__name__ == "NoBaseCache"
        assert type(caches["own"]) is type(caches.create_connection("own"))


def test_keys_that_are_no_strings_are_the_caches_own_business(heard: Heard) -> None:
    assert caches["locmem"].get(5, "five") == "five"
    assert caches["locmem"].get_many([["a"], ["b"]]) == {}
    assert heard.take() == ["miss 5", "miss ['a'] ['b']"]


def test_a_watched_cache_looks_like_its_class(heard: Heard, raw: Any) -> None:
    for alias in ("default", "core", "locmem"):
        made, plain = caches.create_connection(alias), CREATE(caches, alias)
        assert isinstance(made, type(plain))
        assert (type(made).__name__, type(made).__module__) == (type(plain).__name__, type(plain).__module__)
        assert type(adapter(alias)) is not FallbackAdapter


def test_attributes_are_those_of_the_plain_cache(heard: Heard) -> None:
    made: Any = caches.create_connection("locmem")
    made.default_timeout = 5
    assert made._watched_plain.default_timeout == 5
    assert not hasattr(made, "no_such_attribute")


def test_a_method_patched_on_the_object_may_call_the_method(heard: Heard) -> None:
    """As debugging tools do."""
    made: Any = caches.create_connection("locmem")
    original = made.get
    made.get = lambda *args, **kwargs: ("patched", original(*args, **kwargs))
    assert made.get("absent", 1) == ("patched", 1)
    assert heard.take() == ["miss absent"]


def test_nothing_is_installed_unless_somebody_listens() -> None:
    before = caches["locmem"]
    kind = type(before)
    assert not issubclass(kind, Watched)
    first, second = Heard(), Heard()
    with instrument.listening(first):
        with instrument.listening(second):
            assert caches["locmem"] is before
            assert isinstance(before, Watched)
            made = caches["dummy"] = caches.create_connection("dummy")
        before.set("a", 1)
        assert CacheHandler.create_connection is not CREATE
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert CacheHandler.create_connection is CREATE
    assert caches["locmem"] is before
    assert type(before) is kind
    assert not isinstance(caches["dummy"], Watched)
    assert isinstance(made, Watched)
    made.get("a")
    assert len(first.calls) == 1


def test_who_listens_twice_hears_once(heard: Heard) -> None:
    instrument.listen(heard)
    caches["locmem"].set("a", 1)
    assert heard.take() == ["set a"]
    assert type(caches["locmem"]).__mro__.count(Watched) == 1


def test_what_was_built_upon_goes_on_without_listeners() -> None:
    listener = Heard()
    instrument.listen(listener)
    ours = CacheHandler.create_connection
    CacheHandler.create_connection = lambda self, alias: ours(self, alias)  # type: ignore[method-assign]
    try:
        instrument.unlisten(listener)
        assert not isinstance(caches.create_connection("locmem"), Watched)
        with instrument.listening(listener):
            assert isinstance(caches.create_connection("locmem"), Watched)
    finally:
        CacheHandler.create_connection = ours  # type: ignore[method-assign]
        instrument.unlisten(listener)
    assert CacheHandler.create_connection is CREATE


def test_a_failing_listener_is_logged_once_and_stops_nobody(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("listener")

    with instrument.listening(broken), instrument.listening(second := Heard()):
        caches["locmem"].set("a", 1)
        assert caches["locmem"].get("a") == 1
    assert heard.take() == second.take() == ["set a", "hit a"]
    assert [record.name for record in caplog.records] == [listeners.__name__]


def test_threads_and_tasks_are_heard(heard: Heard) -> None:
    caches["locmem"].clear()
    heard.take()

    def work(number: int) -> None:
        for i in range(200):
            cache_of_thread = caches["locmem"]
            cache_of_thread.set(f"{number}:{i % 5}", i)
            cache_of_thread.get(f"{number}:{i % 5}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = [call.partition(" ")[0] for call in heard.take()]
    assert (calls.count("set"), calls.count("hit"), calls.count("miss")) == (800, 800, 0)

    async def gathered() -> None:
        tasks: list[Awaitable[Any]] = [caches["locmem"].aget_or_set(f"task:{i}", lambda: 1) for i in range(20)]
        await asyncio.gather(*tasks)

    async_to_sync(gathered)()
    calls = [call.partition(" ")[0] for call in heard.take()]
    assert (calls.count("miss"), calls.count("set"), calls.count("hit")) == (20, 20, 0)


def test_the_front_door_is_heard_too(heard: Heard, raw: Any) -> None:
    cache.set("a", 1)
    assert cache.get("a") == 1
    assert heard.calls == [("default", "set", ("a",)), ("default", "hit", ("a",))]

"""``cache_result`` on every kind of cache, sync and async."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import Group
from django.core.cache import caches

from cache_admin.caching import MISS, cache_result, invalidate_tags
from cache_admin.caching.envelope import opened
from cache_admin.caching.signals import computed


class Counted:
    """A function that counts its calls and returns what it is told."""

    def __init__(self, *results: Any) -> None:
        self.calls: list[Any] = []
        self.results = list(results)

    def __call__(self, value: Any = None) -> Any:
        self.calls.append(value)
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


def cached(body: Callable[..., Any], **options: Any) -> Any:
    options.setdefault("timeout", 60)

    @cache_result(**options)
    def work(value: Any, limit: int = 10) -> Any:
        return body(value)

    return work


@pytest.mark.parametrize("result", [{"a": [1, 2]}, None, 0, "", False, (1, 2), b"\x00", "x" * 5000])
def test_a_result_is_computed_once(kind: str, result: Any) -> None:
    body = Counted(result)
    work = cached(body, alias=kind)
    assert [work(1), work(1), work(1)] == [result] * 3
    assert len(body.calls) == 1


@pytest.mark.parametrize("lock", [True, False])
def test_defaults_and_names_are_bound(kind: str, lock: bool) -> None:
    body = Counted("x")
    work = cached(body, alias=kind, lock=lock)
    for call in (lambda: work(1), lambda: work(1, 10), lambda: work(1, limit=10), lambda: work(limit=10, value=1)):
        assert call() == "x"
    assert len(body.calls) == 1
    work(1, 11)
    work("1")
    assert len(body.calls) == 3


def test_the_key_names_module_function_and_arguments() -> None:
    assert cached(Counted(1)).key(5) == ("tests.caching.test_cache_result.cached.<locals>.work:value:5:limit:10")


def test_wrong_arguments_are_a_type_error_as_ever(local: str) -> None:
    work = cached(Counted(1), alias=local)
    for call in (lambda: work(), lambda: work(1, 2, 3), lambda: work(1, value=1), lambda: work(1, other=1)):
        with pytest.raises(TypeError, match="argument"):
            call()


@pytest.mark.parametrize(
    "options",
    [{"key": "p:{nope}"}, {"key": "p:{nope.pk}:{value}"}, {"tags": ["all", "p:{nope[0]}"]}, {"tags": ["p:{}"]}],
)
def test_a_field_that_is_no_argument_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"which is no argument of .*work; they are: value, limit\."):
        cached(Counted(1), **options)


def test_exceptions_are_not_kept_and_give_the_lock_back(kind: str) -> None:
    body = Counted(ValueError("broken"), "mended")
    work = cached(body, alias=kind)
    with pytest.raises(ValueError, match="broken"):
        work(1)
    assert not caches[kind].has_key(work.key(1) + ":lock")
    assert work(1) == "mended"


def test_peek_refresh_and_invalidate(kind: str) -> None:
    work = cached(Counted(None, "second"), alias=kind)
    assert work.peek(1) is MISS
    assert work.invalidate(1) is False
    assert work(1) is None
    assert work.peek(1) is None
    assert work.refresh(1) == "second"
    assert work(1) == "second"
    assert work.invalidate(1) is True
    assert work.peek(1) is MISS


def test_a_dummy_cache_computes_every_time() -> None:
    body = Counted(1)
    work = cached(body, alias="dummy", tags=["t"])
    assert [work(1), work(1)] == [1, 1]
    assert len(body.calls) == 2
    assert work.peek(1) is MISS


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_of_nothing_keeps_nothing(kind: str, timeout: int) -> None:
    body = Counted(1)
    work = cached(body, alias=kind, timeout=timeout)
    work(1)
    work(1)
    assert len(body.calls) == 2
    assert not caches[kind].has_key(work.key(1))


def test_a_timeout_of_none_keeps_for_ever(raw) -> None:
    work = cached(Counted(1), timeout=None)
    work(1)
    assert caches["default"].ttl(work.key(1)) is None


def test_parts_of_a_second_count(kind: str) -> None:
    body = Counted(1, 2)
    work = cached(body, alias=kind, timeout=0.2)
    assert [work(1), work(1)] == [1, 1]
    time.sleep(0.25)
    assert work(1) == 2


def test_jitter_only_shortens(local: str) -> None:
    work = cached(Counted(1), alias=local, timeout=1000, jitter=0.5)
    lives = []
    for value in range(60):
        work(value)
        entry = opened(caches[local].get(work.key(value)))
        lives.append(entry.fresh_until - entry.as_of)
    assert 500 <= min(lives) < 700
    assert 800 < max(lives) <= 1001


@pytest.mark.parametrize("options", [{"jitter": 1}, {"stale": -1}, {"lock_timeout": 0}, {"beta": -1}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"jitter|stale"):
        cache_result(60, **options)


def test_bare_values_of_other_code_are_taken(kind: str) -> None:
    work = cached(Counted("computed"), alias=kind)
    caches[kind].set(work.key(1), "set by hand")
    assert work(1) == "set by hand"


def test_a_json_serializer_will_do(raw) -> None:
    work = cached(Counted({"a": 1}), alias="json", tags=["t"])
    assert [work(1), work(1)] == [{"a": 1}] * 2
    assert len(work.func.__closure__[0].cell_contents.calls) == 1
    invalidate_tags("t", alias="json")
    assert work.peek(1) is MISS


@pytest.mark.django_db
def test_querysets_and_generators_become_lists(kind: str, django_assert_num_queries: Any) -> None:
    Group.objects.create(name="staff")

    @cache_result(60, alias=kind)
    def groups() -> Any:
        return Group.objects.order_by("name")

    @cache_result(60, alias=kind)
    def nested() -> Any:
        return {"groups": Group.objects.all(), "numbers": (i for i in range(3)), "names": {"a": 1}.keys()}

    for function in (groups, nested):
        first = function()
        with django_assert_num_queries(kind == "table"):  # the cache itself
            assert function() == first
    assert type(groups()) is list
    assert nested() == {"groups": [Group.objects.get()], "numbers": [0, 1, 2], "names": ["a"]}


class Shop:
    """Without state: the class says all."""

    calls = 0

    @cache_result(60, alias="locmem")
    def price(self, pk: int) -> tuple[int, int]:
        Shop.calls += 1
        return pk, Shop.calls

    @cache_result(60, alias="locmem")
    @classmethod
    def popular(cls, limit: int = 3) -> str:
        Shop.calls += 1
        return f"{cls.__name__} {limit} {Shop.calls}"

    @classmethod
    @cache_result(60, alias="locmem")
    def inside(cls, limit: int = 3) -> str:
        Shop.calls += 1
        return f"{cls.__name__} {limit} {Shop.calls}"

    @cache_result(60, alias="locmem")
    @staticmethod
    def rate(currency: str) -> tuple[str, int]:
        Shop.calls += 1
        return currency, Shop.calls

    @cache_result(60, alias="locmem")
    async def later(self, pk: int) -> tuple[int, int]:
        Shop.calls += 1
        return pk, Shop.calls


class Branch(Shop):
    region: str

    def __init__(self, region: str = "") -> None:
        if region:
            self.region = region

    @cache_result(60, alias="locmem", key="prices:{self.region}:{pk}")
    def regional(self, pk: int) -> str:
        return f"{self.region} {pk}"


def test_methods(local: str) -> None:
    assert Shop().price(5) == Shop().price(pk=5)
    assert Shop().price(5) != Shop().price(6)
    assert Shop().price(5) != Branch().price(5)
    assert Shop().price.peek(5) == Shop().price(5)
    assert Shop().price.invalidate(5) is True
    assert Shop().price.peek(5) is MISS
    assert Shop.price.key(Shop(), 5) == Shop().price.key(5)


def test_an_instance_with_state_needs_a_key(local: str) -> None:
    with pytest.raises(TypeError, match="has a state that no key can be made of"):
        Branch("north").price(5)
    assert Branch("north").regional(5) == "north 5"
    assert Branch("south").regional(5) == "south 5"
    assert Branch("north").regional.key(5) == "prices:north:5"


def test_class_methods_and_static_methods(local: str) -> None:
    assert Shop.popular() == Shop().popular(limit=3) == Shop.popular.peek(3)
    assert Shop.popular() != Branch.popular()
    assert Shop.inside() == Shop.inside(3)
    assert Shop.rate("EUR") == Shop().rate("EUR") == Shop.rate.peek("EUR")
    assert Shop.popular.invalidate() is True
    assert Shop.rate.invalidate("EUR") is True


@pytest.mark.django_db
def test_methods_of_models_have_the_instance_in_the_key(local: str) -> None:
    @cache_result(60, alias=local)
    def permissions(self: Group) -> int:
        return self.pk

    assert [permissions(Group(pk=pk)) for pk in (1, 2, 1)] == [1, 2, 1]


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("popular", "popular:user:auth.group(3):limit:5"),
        ("user:{user.pk}:top:{limit}", "user:3:top:5"),
        (lambda user, limit: f"mine:{user.pk}:{limit}", "mine:3:5"),
    ],
)
def test_keys_of_ones_own(key: Any, made: str) -> None:
    @cache_result(60, key=key)
    def top(user: Any, limit: int) -> None: ...

    assert top.key(Group(pk=3), 5) == made


def test_stars_in_the_signature(local: str) -> None:
    @cache_result(60, alias=local)
    def work(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert work(1, 2, a=3) == ((1, 2), {"a": 3})
    assert len({work.key(), work.key(1, 2), work.key((1, 2)), work.key(a=1), work.key("a", 1)}) == 5


async def _async_twins(kind: str) -> None:
    calls = []

    @cache_result(60, alias=kind, tags=["n:{value}"])
    async def work(value: int, limit: int = 10) -> list[int] | None:
        calls.append(value)
        await asyncio.sleep(0)
        return [value, len(calls)]

    assert await work(1) == await work(1, limit=10) == [1, 1]
    assert await work.peek(1) == [1, 1]
    assert await work.refresh(1) == [1, 2]
    assert await work.invalidate(1) is True
    assert await work.peek(1) is MISS
    assert await asyncio.gather(*(work(7) for _ in range(50))) == [[7, 3]] * 50


def test_coroutines(kind: str) -> None:
    asyncio.run(_async_twins(kind))


@pytest.mark.django_db(transaction=True)
def test_coroutines_keep_none_and_lists_but_no_exceptions(kind: str) -> None:
    Group.objects.create(name="staff")
    calls = []

    @cache_result(60, alias=kind)
    async def nothing() -> None:
        calls.append("nothing")

    @cache_result(60, alias=kind)
    async def groups() -> Any:
        calls.append("groups")
        return Group.objects.order_by("name")

    @cache_result(60, alias=kind)
    async def broken() -> str:
        calls.append("broken")
        if calls.count("broken") == 1:
            raise ValueError("broken")
        return "mended"

    async def ask() -> None:
        assert [await nothing(), await nothing(), await nothing.peek()] == [None] * 3
        assert type(await groups()) is type(await groups()) is list
        with pytest.raises(ValueError, match="broken"):
            await broken()
        assert [await broken(), await broken()] == ["mended"] * 2

    asyncio.run(ask())
    assert calls == ["nothing", "groups", "broken", "broken"]
    assert not caches[kind].has_key(broken.key() + ":lock")


def test_a_cached_coroutine_function_is_one(local: str) -> None:
    assert iscoroutinefunction(Shop.later)
    assert iscoroutinefunction(Shop().later)
    assert not iscoroutinefunction(Shop.price)
    assert asyncio.run(Shop().later(3))[0] == 3
    assert list(inspect.signature(Shop.later).parameters) == ["self", "pk"]


def test_a_cancelled_computation_gives_its_lock_back(kind: str) -> None:
    @cache_result(60, alias=kind)
    async def slow() -> None:
        await asyncio.sleep(30)

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(), 0.3)

    asyncio.run(cancelled())
    assert not caches[kind].has_key(slow.key() + ":lock")


def test_listeners_hear_of_computations_and_cannot_break_them(local: str) -> None:
    heard = []

    def listen(sender: str, **facts: Any) -> None:
        heard.append((sender, facts["alias"], facts["key"], facts["seconds"] >= 0))
        raise RuntimeError

    computed.connect(listen)
    try:
        work = cached(Counted(1), alias=local)
        assert [work(1), work(1)] == [1, 1]
    finally:
        computed.disconnect(listen)
    assert heard == [(work.owner.name, local, work.key(1), True)]


@pytest.mark.parametrize("pair", [(1, True), (0, False), (1, 1.0), (0.0, -0.0), ("a", b"a"), ((1,), (True,))])
def test_arguments_that_python_calls_equal_stay_apart(local: str, pair: tuple[Any, Any]) -> None:
    @cache_result(60, alias=local)
    def work(value: Any) -> str:
        return repr(value)

    assert [work(value) for value in (*pair, *pair)] == [repr(value) for value in (*pair, *pair)]


@cache_result(60, alias="locmem")
def at_top(value: int) -> int:
    return value


def test_a_cached_function_is_copied_and_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(at_top)) is at_top
    assert copy.deepcopy({"f": at_top})["f"] is at_top

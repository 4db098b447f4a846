"""What a transaction wrote and may take back: nobody else may find it in a cache."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.db import connections, transaction

from cache_admin.caching import SmartCache, cache_invalidator, cache_result, invalidates, statistic
from cache_admin.caching.rules import Rule
from tests.shop_models.models import Product

pytestmark = pytest.mark.django_db(transaction=True)
MakeRule = Callable[..., Rule]


class Rollback(Exception):
    pass


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction, or a savepoint, that comes to nothing."""
    with suppress(Rollback), transaction.atomic():
        yield
        raise Rollback


@pytest.fixture
def rule(cache: Any) -> Iterator[MakeRule]:
    """Registers rules of ``Product`` for one test."""
    made: list[Rule] = []

    def make(**texts: Any) -> Rule:
        made.append(cache_invalidator.register_invalidation_rule(Product, name=f"uncommitted {len(made)}", **texts))
        return made[-1]

    yield make
    for one in made:
        cache_invalidator.unregister(one)


@pytest.fixture
def tea(cache: Any) -> Product:
    return Product.objects.create(name="Tea", price=1)


@cache_result(300, key="by_tag:{pk}", tags=["product:{pk}"])
def by_tag(pk: int) -> str:
    return Product.objects.get(pk=pk).name


@cache_result(300, key="by_key:{pk}")
def by_key(pk: int) -> str:
    return Product.objects.get(pk=pk).name


@cache_result(300, key="list:{pk}:names")
def by_pattern(pk: int) -> str:
    return Product.objects.get(pk=pk).name


@statistic(300, key="counted:{pk}", tags=["product:{pk}"])
def counted(pk: int) -> str:
    return Product.objects.get(pk=pk).name


def smart(pk: int) -> Any:
    compute = lambda: Product.objects.get(pk=pk).name  # noqa: E731
    return SmartCache().get_or_set_with_lock(f"smart:{pk}", compute, 300, tags=[f"product:{pk}"])


RULES = {
    "tags": ["product:{pk}"],
    "keys": ["by_key:{pk}"],
    "patterns": ["list:{pk}:*"],
}
WAYS = {"tag": by_tag, "key": by_key, "pattern": by_pattern, "statistic": counted, "smart": smart}


@pytest.mark.parametrize("kept", [True, False], ids=["kept before", "not kept before"])
@pytest.mark.parametrize("way", WAYS)
def test_a_value_of_a_transaction_that_is_rolled_back_is_found_by_nobody(
    rule: MakeRule, tea: Product, way: str, kept: bool
) -> None:
    rule(**RULES)
    ask = WAYS[way]
    if kept:
        assert ask(tea.pk) == "Tea"
    with rolled_back():
        tea.name = "Coffee"
        tea.save()
        assert ask(tea.pk) == "Coffee", "a transaction sees its own writes"
        assert in_another_thread(ask, tea.pk) == "Tea"
    assert ask(tea.pk) == "Tea"


@pytest.mark.parametrize("way", WAYS)
def test_after_the_commit_everybody_finds_the_new_value(rule: MakeRule, tea: Product, way: str) -> None:
    rule(**RULES)
    ask = WAYS[way]
    assert ask(tea.pk) == "Tea"
    with transaction.atomic():
        tea.name = "Coffee"
        tea.save()
        assert ask(tea.pk) == "Coffee"
    assert ask(tea.pk) == in_another_thread(ask, tea.pk) == "Coffee"


def in_another_thread(ask: Callable[[int], Any], pk: int) -> Any:
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(ask(pk))
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return found[0]


def test_a_savepoint_that_is_rolled_back_leaves_the_rest_of_the_transaction_cached(
    rule: MakeRule, tea: Product
) -> None:
    rule(**RULES)
    with transaction.atomic():
        with rolled_back():
            tea.name = "Coffee"
            tea.save()
            assert by_tag(tea.pk) == "Coffee"
        assert by_tag(tea.pk) == "Tea"
        assert by_tag.peek(tea.pk) == "Tea", "nothing is changed any more, so it may be kept"


def test_what_a_transaction_does_not_change_is_kept_as_ever(rule: MakeRule, tea: Product) -> None:
    rule(**RULES)
    other = Product.objects.create(name="Milk", price=1)
    assert by_tag(other.pk) == "Milk"
    with transaction.atomic():
        tea.save()
        assert by_tag(other.pk) == "Milk"
        assert by_tag.peek(other.pk) == "Milk"
        other_key = by_key(other.pk)
    assert caches["default"].get(by_key.key(other.pk)) is not None
    assert other_key == "Milk"


def test_refreshing_and_writing_while_one_computes_store_nothing_either(rule: MakeRule, tea: Product) -> None:
    rule(**RULES)

    @cache_result(300, key="writes:{pk}", tags=["product:{pk}"])
    def writes(pk: int) -> str:
        Product.objects.get(pk=pk).save()
        return "seen in the middle"

    with rolled_back():
        writes(tea.pk)
        by_tag.refresh(tea.pk)
    assert not writes.peek(tea.pk)
    assert not by_tag.peek(tea.pk)
    assert not caches["default"].get("writes:lock")


def test_a_function_that_is_dropped_as_a_whole(tea: Product) -> None:
    @cache_result(300, alias="core", key="uncommitted:all")
    def names() -> list[str]:
        return [product.name for product in Product.objects.order_by("pk")]

    invalidates(Product)(names)
    try:
        with rolled_back():
            tea.name = "Coffee"
            tea.save()
            assert names() == ["Coffee"]
        assert names() == ["Tea"]
    finally:
        cache_invalidator.unregister(cache_invalidator.rules(Product)[-1])


def test_coroutines_that_run_in_a_transaction_of_a_thread(rule: MakeRule, tea: Product) -> None:
    rule(**RULES)

    @cache_result(300, key="later:{pk}", tags=["product:{pk}"])
    async def later(pk: int) -> str:
        return (await sync_to_async(Product.objects.get)(pk=pk)).name

    async def change() -> None:
        assert await later(tea.pk) == "Tea"

        @sync_to_async
        def in_transaction() -> None:
            with rolled_back():
                tea.name = "Coffee"
                tea.save()

        await in_transaction()
        assert await later(tea.pk) == "Tea"
        await sync_to_async(connections.close_all)()

    asyncio.run(change())

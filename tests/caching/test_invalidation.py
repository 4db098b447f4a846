from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save

from cache_admin.caching import dropping, invalidation
from cache_admin.caching.decorators import cache_result
from cache_admin.caching.invalidation import Changes, Rule, atouch, cache_invalidator, figures, invalidates, touch
from cache_admin.caching.patterns import delete_each
from cache_admin.caching.signals import rule_fired
from cache_admin.caching.tags import invalidate_tags, tag_key
from cache_admin.exceptions import Unsupported
from tests.shop_models.models import Brand, Category, Cheap, Label, Offer, Product, Review, Unrelated

pytestmark = pytest.mark.django_db(transaction=True)
Register = Callable[..., Rule]


@pytest.fixture
def register() -> Iterator[Register]:
    before = cache_invalidator.rules()
    yield cache_invalidator.register_invalidation_rule
    for rule in set(cache_invalidator.rules()).difference(before):
        cache_invalidator.unregister(rule)


@pytest.fixture
def seen(register: Register) -> list[Changes]:
    """What a callback on Product is told."""
    changes: list[Changes] = []
    register(Product, changes.append, name="seen")
    return changes


def pks(seen: list[Changes]) -> list[tuple[int, ...]]:
    return [changes.pks for changes in seen]


class Abort(Exception):
    """Rolls a transaction back."""


def test_a_save_fires_at_once_without_a_transaction(seen):
    product = Product.objects.create(name="a")
    assert (pks(seen), seen[0].instances, seen[0].using) == ([(product.pk,)], (product,), "default")


def test_a_save_fires_after_the_commit_and_not_before(seen):
    with transaction.atomic():
        Product.objects.create(name="a")
        assert seen == []
    assert len(seen) == 1


def test_many_saves_in_one_transaction_are_one_pass(seen):
    with transaction.atomic():
        made = [Product.objects.create(name=str(number)) for number in range(5)]
        made[0].save()
        with transaction.atomic():
            made[1].save()
    assert pks(seen) == [tuple(product.pk for product in made)]


def test_savepoints_by_the_hundred_are_one_pass(seen):
    with transaction.atomic():
        for number in range(100):
            with transaction.atomic():
                Product.objects.create(name=str(number))
    assert [len(changes.pks) for changes in seen] == [100]


def test_a_rolled_back_save_drops_nothing(seen):
    with suppress(Abort), transaction.atomic():
        Product.objects.create(name="a")
        raise Abort
    kept = Product.objects.create(name="b")
    assert pks(seen) == [(kept.pk,)]


@pytest.mark.parametrize("order", ["before", "after", "both"])
def test_a_rolled_back_savepoint_takes_only_its_own_changes(seen, order: str):
    kept = []
    with transaction.atomic():
        if order != "after":
            kept.append(Product.objects.create(name="before").pk)
        with suppress(Abort), transaction.atomic():
            Product.objects.create(name="inside")
            with transaction.atomic():
                Product.objects.create(name="deeper")
            raise Abort
        if order != "before":
            kept.append(Product.objects.create(name="after").pk)
    assert pks(seen) == [tuple(kept)]


def test_transactions_of_many_threads_drop_what_each_of_them_committed(register):
    told: list[int] = []
    committed: list[int] = []
    register(Product, lambda changes: told.extend(changes.pks))
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        try:
            for turn in range(10):
                with suppress(Abort), transaction.atomic():
                    kept = Product.objects.create(name=f"{number}")
                    with suppress(Abort), transaction.atomic():
                        Product.objects.create(name="nested and rolled back")
                        raise Abort
                    with transaction.atomic():
                        nested = Product.objects.create(name="nested")
                    if turn % 2:
                        raise Abort
                    committed.extend([kept.pk, nested.pk])
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(committed) == 40
    assert sorted(told) == sorted(committed) == sorted(Product.objects.values_list("pk", flat=True))


def test_a_transaction_after_a_rolled_back_one_is_clean(seen):
    for _ in range(3):
        with suppress(Abort), transaction.atomic():
            with transaction.atomic():
                Product.objects.create(name="a")
            raise Abort
    with transaction.atomic():
        product = Product.objects.create(name="b")
    assert pks(seen) == [(product.pk,)]


def test_callbacks_that_save_again_after_the_commit_get_a_pass_of_their_own(register):
    seen: list[tuple[int, ...]] = []

    def again(changes: Changes) -> None:
        seen.append(changes.pks)
        if len(seen) == 1:
            Product.objects.create(name="again")

    register(Product, again)
    with transaction.atomic():
        Product.objects.create(name="first")
    assert len(seen) == 2


def test_manual_transactions_fire_at_once_and_do_not_break_the_save(seen):
    transaction.set_autocommit(False)
    try:
        Product.objects.create(name="a")
    finally:
        transaction.commit()
        transaction.set_autocommit(True)
    assert len(seen) == 1


def test_deletes_fire_for_each_row_in_one_pass(seen):
    made = [Product.objects.create(name="a").pk for _ in range(3)]
    seen.clear()
    Product.objects.all().delete()
    assert [sorted(changes.pks) for changes in seen] == [made]


def test_deleting_what_cascades_fires_the_rules_of_the_rows_below(register):
    seen: list[Changes] = []
    product = Product.objects.create(name="a")
    review = Review.objects.create(product=product)
    register(Review, seen.append)
    pk = review.pk
    product.delete()
    assert pks(seen) == [(pk,)]


# Bulk writes


def test_bulk_writes_are_told_by_touch_in_one_pass(seen):
    made = Product.objects.bulk_create([Product(name="a"), Product(name="b")])
    Product.objects.update(name="c")
    assert seen == []
    with transaction.atomic():
        touch(Product, [product.pk for product in made])
        touch(Product, Product.objects.values_list("pk", flat=True))
        assert seen == []
    assert [(sorted(changes.pks), changes.instances) for changes in seen] == [([p.pk for p in made], ())]


def test_touch_reads_rows_only_for_texts_that_name_more_than_the_key(register, cache, django_assert_num_queries):
    shoes = Category.objects.create(name="shoes")
    products = [Product.objects.create(name="a", category=shoes).pk for _ in range(3)]
    register(Product, keys=["product:{pk}"])
    with django_assert_num_queries(0):
        touch(Product, products)
    register(Product, keys=["category:{category_id}"])
    cache.set(f"category:{shoes.pk}", 1)
    with django_assert_num_queries(1):
        touch(Product, products)
    assert cache.get(f"category:{shoes.pk}") is None


def test_touching_nothing_or_a_model_without_rules_costs_nothing(register, django_assert_num_queries):
    rule = register(Product, tags=["product:{pk}"])
    with django_assert_num_queries(0):
        touch(Product, [])
        touch(Unrelated, [1, 2])
    assert figures(rule).fired == 0


# What is dropped


def test_tags_keys_and_patterns_are_filled_from_the_instance(register, cache):
    @cache_result(60, tags=["product:{pk}"])
    def shown(pk: int) -> int:
        return next(numbers)

    numbers = iter(range(10))
    product, other = Product.objects.create(name="a"), Product.objects.create(name="b")
    register(Product, "list:{pk}:*", tags=["product:{pk}"], keys=["detail:{pk}"])
    values = [shown(product.pk), shown(other.pk)]
    names = [f"detail:{product.pk}", f"list:{product.pk}:2", f"detail:{other.pk}", f"list:{product.pk}1:2", "list:x"]
    cache.set_many(dict.fromkeys(names, 1))
    product.save()
    assert set(cache.get_many(names)) == set(names[2:])
    assert [shown(product.pk) == values[0], shown(other.pk) == values[1]] == [False, True]


def test_rules_reach_every_kind_of_cache(register, kind: str):
    patterns = kind in ("core", "default")
    register(Product, tags=["product:{pk}"], keys=["price:{pk}"], alias=kind, name="tags and keys")
    by_pattern = register(Product, "list:*", alias=kind, name="pattern")
    product = Product.objects.create(name="a")

    @cache_result(60, alias=kind, tags=["product:{pk}"])
    def name(pk: int) -> str:
        return Product.objects.get(pk=pk).name

    for new, save in (("b", product.save), ("c", lambda: asyncio.run(product.asave()))):
        name(product.pk)
        caches[kind].set_many({f"price:{product.pk}": 1, f"price:{product.pk}0": 1, "list:1": 1})
        product.name = new
        save()
        assert name(product.pk) == new
        assert not caches[kind].has_key(f"price:{product.pk}")
        assert caches[kind].has_key(f"price:{product.pk}0")
        assert caches[kind].has_key("list:1") is not patterns
    assert ("cannot list its keys" in figures(by_pattern).last_error) is not patterns


@pytest.mark.parametrize("refresh", [False, True])
@pytest.mark.parametrize("how", ["keys", "tags"])
def test_what_was_computed_before_a_change_is_not_kept_after_it(register, kind: str, how: str, refresh: bool):
    texts = {"keys": ["price:{pk}"], "tags": ["product:{pk}"]}
    register(Product, alias=kind, **{how: texts[how]})
    product = Product.objects.create(name="old")

    @cache_result(60, alias=kind, key="price:{pk}", tags=texts["tags"] if how == "tags" else [])
    def name(pk: int) -> str:
        read = Product.objects.get(pk=pk).name
        if read == "old":
            product.name = "new"
            product.save()
        return read

    assert (name.refresh if refresh else name)(product.pk) == "old"
    assert name(product.pk) == "new"
    assert not caches[kind].has_key(f"price:{product.pk}:lock")


def test_coroutine_functions_are_awaited_after_the_commit(register, cache, caplog):
    told = []

    async def note(changes: Changes) -> int:
        await asyncio.sleep(0)
        told.extend(changes.pks)
        return 7

    rule = register(Product, note)

    @cache_result(60)
    async def count() -> int:
        return await Product.objects.acount()

    invalidates(Product)(count)
    assert asyncio.run(count()) == 0
    product = Product.objects.create(name="a")
    assert (told, figures(rule).dropped) == ([product.pk], 7)
    assert asyncio.run(count()) == 1
    asyncio.run(product.adelete())
    assert len(told) == 2
    assert asyncio.run(count()) == 0
    assert caplog.text == ""


def test_async_code_fires_after_the_commit_once(seen):
    async def write() -> None:
        product = await Product.objects.acreate(name="a")
        product.name = "b"
        await product.asave()
        await Product.objects.filter(pk=product.pk).aupdate(name="c")
        await atouch(Product, [product.pk])
        await product.adelete()

    @sync_to_async
    def in_a_transaction() -> None:
        with transaction.atomic():
            async_to_sync(write)()
            assert len(seen) == 4

    asyncio.run(write())
    assert len(seen) == 4
    asyncio.run(in_a_transaction())
    assert len(seen) == 5


def test_a_change_of_a_field_drops_the_old_and_the_new(register, cache):
    old, new, third = [Category.objects.create(name=name) for name in "abc"]
    product = Product.objects.create(name="a", category=old)
    register(Product, keys=["category:{category_id}"])
    product = Product.objects.get(pk=product.pk)
    names = [f"category:{category.pk}" for category in (old, new, third)]
    cache.set_many(dict.fromkeys(names, 1))
    product.category = new
    product.save()
    assert list(cache.get_many(names)) == names[2:]
    cache.set_many(dict.fromkeys(names, 1))
    product.category = third
    product.save()
    assert list(cache.get_many(names)) == names[:1]


def test_a_deferred_field_is_not_read_for_its_old_value(register, django_assert_num_queries):
    product = Product.objects.create(name="a")
    register(Product, keys=["category:{category_id}"])
    with django_assert_num_queries(1):
        assert Product.objects.only("name").get(pk=product.pk).get_deferred_fields() >= {"category_id"}


def test_values_in_a_pattern_stand_for_themselves(register, cache):
    product = Product.objects.create(name="*")
    register(Product, patterns=["name:{name}:*"])
    cache.set_many({"name:other:1": 1, "name:[x]:1": 1})
    product.save()
    assert len(cache.get_many(["name:other:1", "name:[x]:1"])) == 2


def test_patterns_of_all_rules_share_one_scan_that_is_logged(register, cache, monkeypatch, caplog):
    scans: list[Any] = []
    monkeypatch.setattr(dropping, "delete_each", lambda *a: scans.append(a) or delete_each(*a))
    rules = [register(Product, "a:{pk}:*"), register(Product, ["b:*", "c:*"])]
    cache.set_many({"a:1:x": 1, "b:x": 1, "d:x": 1})
    caplog.set_level(logging.INFO, "cache_admin")
    with transaction.atomic():
        Product.objects.create(pk=1, name="a")
        Product.objects.create(pk=2, name="b")
    assert len(scans) == 1
    assert "3 keys" not in caplog.text
    assert "4 patterns, 2 keys removed" in caplog.text
    assert [figures(rule).dropped for rule in rules] == [1, 1]


def test_a_pattern_on_a_cache_that_cannot_list_is_an_error_in_words(register, caplog):
    rule = register(Product, "a:*", alias="locmem")
    Product.objects.create(name="a")
    assert "cannot list its keys" in figures(rule).last_error
    assert "Product" in caplog.text


def test_all_tags_of_a_commit_are_one_write(register, monkeypatch, cache):
    writes: list[tuple[str, ...]] = []
    monkeypatch.setattr(dropping, "invalidate_tags", lambda *tags, alias: writes.append(tags))
    for number in range(5):
        register(Product, tags=[f"rule{number}:{{pk}}", "all"])
    Product.objects.create(pk=7, name="a")
    assert writes == [("rule0:7", "all", "rule1:7", "rule2:7", "rule3:7", "rule4:7")]


def test_a_text_through_a_relation_that_is_not_set_is_left_out(register, cache):
    rule = register(
        Product,
        tags=["category:{category.pk}", "parent:{category.parent.pk}", "product:{pk}"],
        keys=["brand:{brand.pk}", "leaflet:{leaflet.text}", "shown:{pk}"],
    )
    cache.set("shown:7", 1)
    product = Product.objects.create(pk=7, name="without any")
    told = figures(rule)
    assert (told.fired, told.failed, told.dropped) == (1, 0, 2)
    assert cache.get("shown:7") is None
    assert cache.get("cache_tag:product:7") is not None
    assert cache.get("cache_tag:category:None") is None
    product.category = Category.objects.create(name="shoes")
    product.save()
    assert figures(rule).failed == 0
    assert cache.get(f"cache_tag:category:{product.category.pk}") is not None
    assert cache.get("cache_tag:parent:None") is None


# Failures


def test_a_failing_rule_stops_nothing_and_is_told(register, cache, caplog):
    def broken(changes: Changes) -> None:
        raise RuntimeError("no network")

    first, last = register(Product, broken), register(Product, keys=["k:{pk}"])
    cache.set("k:1", 1)
    product = Product.objects.create(pk=1, name="a")
    assert Product.objects.filter(pk=product.pk).exists()
    assert cache.get("k:1") is None
    told = figures(first)
    assert (told.fired, told.failed, told.last_error) == (1, 1, "RuntimeError: no network")
    assert (figures(last).failed, figures(last).dropped) == (0, 1)
    assert "no network" in caplog.text


def test_a_text_that_cannot_be_filled_breaks_neither_save_nor_transaction(register, caplog):
    rule = register(Product, keys=["product:{name.colour}"])
    with transaction.atomic():
        product = Product.objects.create(name="a")
        assert Product.objects.filter(pk=product.pk).exists()
    assert figures(rule).failed == 1
    assert "AttributeError" in figures(rule).last_error


def test_a_cache_that_is_down_does_not_break_the_save(register, monkeypatch, caplog):
    monkeypatch.setattr(dropping, "invalidate_tags", lambda *tags, alias: 1 / 0)
    rule, other = register(Product, tags=["product:{pk}"]), register(Product, tags=["all"], alias="core")
    Product.objects.create(name="a")
    assert (figures(rule).failed, figures(other).failed) == (1, 1)


def test_a_rule_that_names_what_is_not_there_is_refused(register):
    with pytest.raises(ValueError, match=r"\{colour\}"):
        register(Product, tags=["product:{colour}"])
    with pytest.raises(ValueError, match="registered already"):
        register(Product, tags=["a"], name="one"), register(Product, tags=["a"], name="one")


def test_a_rule_before_the_models_are_loaded_is_refused(monkeypatch):
    monkeypatch.setattr(invalidation.apps, "models_ready", False)
    with pytest.raises(ImproperlyConfigured, match=r"caching\.py"):
        cache_invalidator.register_invalidation_rule(Product, tags=["a"])


# Figures and signals


def test_each_firing_is_counted_and_signalled(register):
    told: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        told.append(kwargs)

    rule_fired.connect(receiver)
    rule = register(Product, lambda changes: 5, tags=["a", "b"], name="five")
    try:
        Product.objects.create(name="a")
    finally:
        rule_fired.disconnect(receiver)
    assert (figures(rule).fired, figures(rule).dropped, figures(rule).failed) == (1, 7, 0)
    assert figures(rule).seconds > 0
    [one] = told
    assert (one["sender"], one["rule"], one["dropped"], one["error"]) == (Product, "five", 7, None)


# Whom rules listen to


def test_unrelated_models_are_not_listened_to(register):
    signals = [post_save, post_delete, post_init]
    before = [[signal.has_listeners(model) for signal in signals] for model in (Unrelated, Brand)]
    rule = register(Product, tags=["category:{category_id}"])
    assert [[signal.has_listeners(model) for signal in signals] for model in (Unrelated, Brand)] == before
    assert all(signal.has_listeners(Product) for signal in signals)
    cache_invalidator.unregister(rule)
    assert not any(signal.has_listeners(Product) for signal in signals)
    assert not m2m_changed.has_listeners(Product.labels.through)


def test_proxies_children_and_parents_fire_the_rules_of_a_model(register, seen):
    product = Product.objects.create(name="a")
    Cheap.objects.get(pk=product.pk).save()
    offer = Offer.objects.create(name="b", ends=date(2030, 1, 1))
    assert pks(seen) == [(product.pk,), (product.pk,), (offer.pk,)]
    offers: list[Changes] = []
    register(Offer, offers.append)
    Product.objects.get(pk=offer.pk).save()
    assert pks(offers) == [(offer.pk,)]


def test_a_rule_of_a_child_reads_its_own_fields_when_the_parent_is_saved(register, cache):
    register(Offer, keys=["ends:{ends}"])
    offer = Offer.objects.create(name="b", ends=date(2030, 1, 1))
    cache.set("ends:2030-01-01", 1)
    Product.objects.get(pk=offer.pk).save()
    assert cache.get("ends:2030-01-01") is None


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("action", ["add", "remove", "set", "clear"])
def test_many_to_many_changes_fire_the_rules_of_both_sides(register, seen, side: str, action: str):
    labels: list[Changes] = []
    register(Label, labels.append)
    product, label = Product.objects.create(name="a"), Label.objects.create(name="new")
    if action in ("remove", "clear"):
        product.labels.add(label)
    seen.clear(), labels.clear()
    manager, other = (product.labels, label) if side == "near" else (label.products, product)
    {
        "add": lambda: manager.add(other),
        "remove": lambda: manager.remove(other),
        "set": lambda: manager.set([other]),
        "clear": lambda: manager.clear(),
    }[action]()
    assert {pk for changes in seen for pk in changes.pks} == {product.pk}
    assert {pk for changes in labels for pk in changes.pks} == {label.pk}


def test_adding_what_is_linked_already_fires_nothing(seen):
    product, label = Product.objects.create(name="a"), Label.objects.create(name="new")
    product.labels.add(label)
    seen.clear()
    product.labels.add(label)
    assert seen == []


# The decorator


def test_a_decorated_function_is_called_for_each_of_its_models(register):
    seen: list[type] = []

    @invalidates(Product, Review)
    def listen(changes: Changes) -> None:
        seen.append(changes.model)

    product = Product.objects.create(name="a")
    Review.objects.create(product=product)
    assert seen == [Product, Review]
    assert callable(listen)


def test_a_decorated_cached_function_is_computed_anew_after_a_change(register, cache):
    @invalidates(Product)
    @cache_result(60)
    def count() -> int:
        return Product.objects.count()

    assert count() == 0
    Product.objects.bulk_create([Product(name="a")])
    assert count() == 0
    Product.objects.create(name="b")
    assert count() == 2


# By hand


def test_invalidating_a_model_drops_its_tags_rules_and_keys_and_no_others(register, cache):
    register(Product, keys=["detail:{pk}"])
    names = {f"{start}shop_models.product:{pk}:price" for start in ("", "v2:") for pk in (1, 10, 11)}
    names |= {f"detail:{pk}" for pk in (1, 10, 11)}
    cache.set_many(dict.fromkeys(names, 1))
    stamps = {}
    tags = [tag_key(f"shop_models.product{end}") for end in ("", ":1", ":10")]
    invalidate_tags("shop_models.product", "shop_models.product:1", "shop_models.product:10")
    stamps = cache.get_many(tags)
    assert cache_invalidator.invalidate_model_cache(Product, 1, scan=True) == 2
    gone = {"shop_models.product:1:price", "v2:shop_models.product:1:price", "detail:1"}
    assert set(cache.get_many(names)) == names - gone
    after = cache.get_many(tags)
    assert [stamps[tag] == after[tag] for tag in tags] == [False, False, True]


def test_invalidating_a_model_by_scan_where_nothing_can_be_listed_says_so(register):
    cache_invalidator.invalidate_model_cache(Product, 1, alias="locmem")
    with pytest.raises(Unsupported, match="locmem"):
        cache_invalidator.invalidate_model_cache(Product, 1, alias="locmem", scan=True)
    assert caches["locmem"].get(tag_key("shop_models.product:1"))


def test_a_test_case_that_captures_commits_sees_the_pass(seen, django_capture_on_commit_callbacks, db):
    with transaction.atomic():
        with django_capture_on_commit_callbacks(execute=True):
            product = Product.objects.create(name="a")
        assert pks(seen) == [(product.pk,)]
        with django_capture_on_commit_callbacks(execute=True):
            product.save()
        assert len(seen) == 2
        connection.run_on_commit.clear()


def test_nothing_of_another_program_goes(register, raw: redis.Redis, cache):
    register(Product, "*")
    raw.set("celery", 1), cache.set("x", 1)
    Product.objects.create(name="a")
    assert raw.keys() == [b"celery"]

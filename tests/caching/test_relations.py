from __future__ import annotations

import asyncio

import pytest

from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.relations import family, model_tags, related_tags, tag_of
from cache_admin.caching.smart import SmartCache
from tests.shop_models.models import Brand, Category, Cheap, Label, Leaflet, Offer, Product, Review

pytestmark = pytest.mark.django_db


@pytest.fixture
def product(cache) -> Product:
    category = Category.objects.create(name="shoes", parent=Category.objects.create(name="clothes"))
    brand = Brand.objects.create(name="acme")
    return Product.objects.create(name="a", category=category, brand=brand)


def keep(instance, key: str) -> None:
    """Caches a value that shows an instance."""
    SmartCache().set(key, "cached", 60, tags=model_tags(instance))


def kept(*keys: str) -> list[bool]:
    return [SmartCache().get(key) is not None for key in keys]


def test_what_hangs_on_related_rows_goes_without_a_query(product, django_assert_num_queries):
    other = Product.objects.create(name="other")
    mine, theirs = Review.objects.create(product=product), Review.objects.create(product=other)
    for key, instance in {"p": product, "c": product.category, "r": mine, "r2": theirs, "p2": other}.items():
        keep(instance, key)
    keep(Leaflet.objects.create(product=product), "leaflet")
    product = Product.objects.get(pk=product.pk)
    with django_assert_num_queries(0):
        cache_invalidator.invalidate_related_caches(product)
    assert kept("p", "c", "r", "leaflet") == [False] * 4
    assert kept("r2", "p2") == [True, True]


def test_one_does_not_hit_ten_and_eleven(cache):
    products = [Product.objects.create(pk=pk, name="a") for pk in (1, 10, 11)]
    for product in products:
        keep(product, f"p{product.pk}")
        keep(Review.objects.create(product=product), f"r{product.pk}")
    cache_invalidator.invalidate_related_caches(products[0])
    assert kept("p1", "r1", "p10", "r10", "p11", "r11") == [False, False, True, True, True, True]


@pytest.mark.django_db(transaction=True)
def test_related_values_go_from_every_kind_of_cache_in_sync_and_async_code(kind: str):
    smart = SmartCache(kind)
    products = [Product.objects.create(pk=pk, name="a") for pk in (1, 10)]
    reviews = [Review.objects.create(product=product) for product in products]

    def fill() -> None:
        for number, review in enumerate(reviews):
            smart.set(f"r{number}", "cached", 60, tags=model_tags(review))
        for number, product in enumerate(products):
            smart.set(f"p{number}", "cached", 60, tags=model_tags(product))

    def there() -> list[bool]:
        return [smart.get(key) is not None for key in ("r0", "p0", "r1", "p1")]

    fill()
    cache_invalidator.invalidate_related_caches(products[0], alias=kind)
    assert there() == [False, False, True, True]
    fill()
    asyncio.run(cache_invalidator.ainvalidate_related_caches(products[0], alias=kind))
    assert there() == [False, False, True, True]
    fill()
    assert cache_invalidator.invalidate_model_cache(Product, 1, alias=kind) == 0
    assert there() == [True, False, True, True]
    fill()
    asyncio.run(cache_invalidator.ainvalidate_model_cache(Product, 1, alias=kind))
    assert there() == [True, False, True, True]


def test_unset_and_missing_relations_are_left_out(cache, django_assert_num_queries):
    bare = Product(pk=5, name="a")
    dangling = Product(pk=6, name="b", category_id=999)
    with django_assert_num_queries(0):
        cache_invalidator.invalidate_related_caches(bare)
        cache_invalidator.invalidate_related_caches(dangling)
        assert "shop_models.category:999" in related_tags(dangling)
    assert not any(tag.startswith("shop_models.category") for tag in related_tags(bare))


def test_a_relation_to_another_column_uses_the_row_that_is_loaded_or_the_whole_model(product):
    assert tag_of(Brand, product.brand.pk) in related_tags(product)
    assert tag_of(Brand) in related_tags(Product.objects.get(pk=product.pk))


def test_many_to_many_relations_drop_both_ends(product):
    label = Label.objects.create(name="new")
    product.labels.add(label)
    assert tag_of(Label) in related_tags(product)
    assert tag_of(Product) in related_tags(label)


def test_proxies_and_children_share_the_tags_of_their_row(product):
    offer = Offer.objects.create(name="b")
    assert tag_of(Cheap, 5) == tag_of(Product, 5) == "shop_models.product:5"
    assert set(family(Offer)) == set(family(Product)) == set(family(Cheap)) == {Product, Offer}
    keep(Cheap.objects.get(pk=offer.pk), "cheap"), keep(offer, "offer")
    cache_invalidator.invalidate_related_caches(Product.objects.get(pk=offer.pk))
    assert kept("cheap", "offer") == [False, False]


def test_rows_of_one_model_that_point_at_each_other(product):
    child, parent = product.category, product.category.parent
    keep(child, "child"), keep(parent, "parent")
    cache_invalidator.invalidate_related_caches(parent)
    assert kept("child", "parent") == [False, False]


def test_an_abstract_model_is_refused():
    from django.contrib.auth.models import AbstractUser

    with pytest.raises(ValueError, match="abstract"):
        tag_of(AbstractUser, 1)

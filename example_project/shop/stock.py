"""What the shop knows of its products, read through the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Avg, QuerySet

from cache_admin.caching import SmartCache, cache_result
from shop.models import Category, Product, Review
from shop.releases import Behaviour

MINUTE, HOUR, DAY = 60, 3600, 86_400
RELEASE = Behaviour(settings.RELEASE)
LISTS = f"v{RELEASE.lists_version}:product_list"
PAGE_SIZE = 12
SORTS = {"name": "name", "price": "price", "newest": "-pk"}


@cache_result(15 * MINUTE, key="product:{pk}", tags=["product:{pk}"])
def product_facts(pk: int) -> dict[str, Any]:
    """One product as a dict, raises ``Product.DoesNotExist``. The price is as old as the entry."""
    product = Product.objects.select_related("category").get(pk=pk)
    return {
        "id": product.pk,
        "name": product.name,
        "description": product.description,
        "price": product.price,
        "category": product.category.name,
        "category_slug": product.category.slug,
    }


@cache_result(HOUR, key="product:{pk}:reviews", tags=["reviews:{pk}"])
def product_reviews(pk: int) -> dict[str, Any]:
    """The newest reviews and the average of one product."""
    reviews = Review.objects.filter(product=pk)
    return {
        "average": reviews.aggregate(stars=Avg("stars"))["stars"],
        "newest": reviews.values("stars", "text")[:5],
    }


def card_key(pk: int) -> str:
    return f"product:{pk}:card"


def card_rows(products: QuerySet[Product]) -> QuerySet[Product, dict[str, Any]]:
    return products.values("id", "name", "price", "stock")


def product_cards(pks: Iterable[int]) -> list[dict[str, Any]]:
    """What lists show of products, in their order: one look-up for all, and one query for those not in the cache."""
    wanted = {card_key(pk): pk for pk in pks}

    def missing(keys: list[str]) -> dict[str, Any]:
        rows = card_rows(Product.objects.filter(pk__in=[wanted[key] for key in keys]))
        return {card_key(row["id"]): row for row in rows}

    cards = SmartCache().get_many_with_fallback(wanted, missing, 15 * MINUTE).values()
    return [{**card, "made": time.time()} if RELEASE.dated_cards else card for card in cards]


def navigation() -> list[Category]:
    """All categories; kept until one of them changes."""
    return list(Category.objects.cached(DAY, key_prefix="navigation"))


def newest_products(count: int) -> list[Product]:
    """The products that came last."""
    return list(Product.objects.cache(10 * MINUTE, key_prefix="newest").order_by("-pk")[:count])


@cache_result(HOUR, key="category:{category.pk}:products", tags=["category:{category.pk}"])
def category_products(category: Category) -> list[int]:
    """Ids of a category's products, best name first."""
    return list(category.products.values_list("pk", flat=True))


@cache_result(
    RELEASE.lists_seconds,
    key=LISTS + ":category_id:{category.pk}:page:{page}:sort:{sort}",
    tags=RELEASE.lists_tags,
    jitter=0.1,
)
def product_page(category: Category, page: int, sort: str) -> list[dict[str, Any]]:
    """One page of a category's list."""
    first = (page - 1) * PAGE_SIZE
    rows = category.products.order_by(SORTS[sort])[first : first + PAGE_SIZE]
    return list(card_rows(rows))


def search_results(query: str) -> list[dict[str, Any]]:
    """Products whose name contains the query. Kept are their ids; names and prices are those of the cards."""
    digest = hashlib.md5(query.lower().encode(), usedforsecurity=False).hexdigest()

    def compute() -> list[int]:
        return list(Product.objects.filter(name__icontains=query).values_list("pk", flat=True)[:PAGE_SIZE])

    return product_cards(SmartCache().get_or_set_with_lock(f"search:{digest}", compute, 10 * MINUTE))


def count_view(pk: int) -> int:
    """Counts a visit of a product page; the counter never expires."""
    visits = cache.zincrby("best_sellers:visits", 1, pk)
    if not RELEASE.counts_views:
        return int(visits)
    key = f"views:product:{pk}"
    cache.add(key, 0, timeout=None)
    return cache.incr(key)


def most_visited(count: int) -> list[int]:
    """Ids of the products that were looked at most."""
    return [int(pk) for pk in cache.zrevrange("best_sellers:visits", 0, count - 1)]

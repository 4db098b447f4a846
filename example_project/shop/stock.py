"""What the shop keeps in its caches: each function reads through the cache and falls back to the database."""

from __future__ import annotations

import hashlib
import time
from datetime import date
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.cache import cache, caches
from django.db.models import Avg, Count, F, Sum

from shop.models import Category, OrderItem, Product, Review

MINUTE, HOUR, DAY = 60, 3600, 86_400
PAGE_SIZE = 12
SORTS = {"name": "name", "price": "price", "newest": "-pk"}


def product_facts(pk: int) -> dict[str, Any]:
    """One product as a dict, raises ``Product.DoesNotExist``. The price is as old as the entry."""
    key = f"product:{pk}"
    if (facts := cache.get(key)) is None:
        product = Product.objects.select_related("category").get(pk=pk)
        facts = {
            "id": product.pk,
            "name": product.name,
            "description": product.description,
            "price": product.price,
            "category": product.category.name,
            "category_slug": product.category.slug,
        }
        cache.set(key, facts, 15 * MINUTE)
    return facts


def product_reviews(pk: int) -> dict[str, Any]:
    """The newest reviews and the average of one product."""

    def compute() -> dict[str, Any]:
        reviews = Review.objects.filter(product=pk)
        average = reviews.aggregate(stars=Avg("stars"))["stars"]
        return {"average": average, "newest": list(reviews.values("stars", "text")[:5])}

    return cache.get_or_set(f"product:{pk}:reviews", compute, HOUR)


def count_view(pk: int) -> int:
    """Counts a visit of a product page; the counter never expires."""
    key = f"views:product:{pk}"
    cache.add(key, 0, timeout=None)
    cache.zincrby("best_sellers:visits", 1, pk)
    return cache.incr(key)


def category_products(category: Category) -> list[int]:
    """Ids of a category's products, best name first."""
    return cache.get_or_set(
        f"category:{category.pk}:products", lambda: list(category.products.values_list("pk", flat=True)), HOUR
    )


def product_page(category: Category, page: int, sort: str) -> list[dict[str, Any]]:
    """One page of a category's list."""

    def compute() -> list[dict[str, Any]]:
        first = (page - 1) * PAGE_SIZE
        rows = category.products.order_by(SORTS.get(sort, "name"))[first : first + PAGE_SIZE]
        return list(rows.values("id", "name", "price", "stock"))

    return cache.get_or_set(f"v2:product_list:category_id:{category.pk}:page:{page}:sort:{sort}", compute, 10 * MINUTE)


def search_results(query: str) -> list[dict[str, Any]]:
    """Products whose name contains the query."""
    digest = hashlib.md5(query.lower().encode(), usedforsecurity=False).hexdigest()

    def compute() -> list[dict[str, Any]]:
        return list(Product.objects.filter(name__icontains=query).values("id", "name", "price")[:PAGE_SIZE])

    return cache.get_or_set(f"search:{digest}", compute, 10 * MINUTE)


def dashboard_stats(user: AbstractBaseUser) -> dict[str, Any]:
    """What one customer has bought."""

    def compute() -> dict[str, Any]:
        items = OrderItem.objects.filter(order__user=user)
        return items.aggregate(
            orders=Count("order", distinct=True), items=Sum("quantity"), spent=Sum(F("price") * F("quantity"))
        )

    return cache.get_or_set(f"user:{user.pk}:dashboard_stats", compute, 30 * MINUTE)


def recommendations(user: AbstractBaseUser) -> list[int]:
    """Product ids for one customer. A mistake to be found: these entries never expire."""

    def compute() -> list[int]:
        bought = OrderItem.objects.filter(order__user=user).values("product__category")
        return list(Product.objects.filter(category__in=bought).order_by("-stock").values_list("pk", flat=True)[:20])

    return cache.get_or_set(f"recommendations:user:{user.pk}", compute, None)


def daily_statistics(day: date) -> dict[str, Any]:
    """Sales of one day."""

    def compute() -> dict[str, Any]:
        items = OrderItem.objects.filter(order__placed__date=day)
        return items.aggregate(orders=Count("order", distinct=True), sold=Sum(F("price") * F("quantity")))

    return cache.get_or_set(f"statistics:daily:{day.isoformat()}", compute, 30 * DAY)


def catalogue_entry(pk: int) -> dict[str, Any]:
    """One product as partners get it: JSON in the long-term cache."""
    facts = product_facts(pk)
    entry = {**facts, "price": str(facts["price"])}
    caches["long_term"].set(f"catalogue:product:{pk}", entry)
    return entry


def allowed(scope: str, ident: str, rate: int = 60, period: int = MINUTE) -> bool:
    """A rate limit of ``rate`` requests per ``period`` seconds and client, kept as Django REST framework keeps it."""
    key = f"throttle_{scope}_{ident}"
    now = time.time()
    history = [moment for moment in cache.get(key, []) if moment > now - period]
    if len(history) >= rate:
        return False
    cache.set(key, [now, *history], period)
    return True

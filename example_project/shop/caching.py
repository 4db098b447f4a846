"""What becomes stale when something changes, and how the caches are filled beforehand. ``cache_admin`` finds it.

Rules by tags and keys cost the same whatever the size of the cache. The one by pattern reads the names of all keys
after each commit: any search may find the product, and their keys do not say which.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from cache_admin.caching import (
    Changes,
    HttpPurger,
    cache_invalidator,
    invalidate_fragment,
    invalidates,
    register_purger,
    touch,
    warmer,
)
from shop import exports, sales, stock
from shop.models import Category, Order, Product, Review

cache_invalidator.register_invalidation_rule(
    Product,
    tags=["product:{pk}", "category:{category_id}"],
    keys=["product:{pk}:card"],
    urls=["/products/{pk}/"],
    name="a product changed",
)
cache_invalidator.register_invalidation_rule(Product, "search:*", name="searches may find it")


@invalidates(Category, tags=["category:{pk}"])
def pass_on_to_products(changes: Changes) -> None:
    """The name of a category stands in the facts of its products."""
    touch(Product, Product.objects.filter(category__in=changes.pks).values_list("pk", flat=True))


@invalidates(Review, tags=["reviews:{product_id}"])
def forget_fragments(changes: Changes) -> int:
    """The reviews stand in a fragment, which stands in another."""
    pks = {review.product_id for review in changes.instances}
    return sum(invalidate_fragment(name, pk) for pk in pks for name in ("product_reviews", "product_detail"))


@invalidates(Order, keys=["user:{user_id}:dashboard_stats"])
def count_again(changes: Changes) -> None:
    """Computed anew rather than dropped: the customer's next page shows it."""
    for customer in User.objects.filter(pk__in={order.user_id for order in changes.instances}):
        sales.lifetime_value(customer, recalculate=True)


if settings.SHOP_PROXY:
    register_purger("proxy", HttpPurger(settings.SHOP_PROXY, hosts=tuple(settings.ALLOWED_HOSTS)))


@warmer("navigation", group="categories", critical=True, patterns=["navigation:shop.category:*"], every=stock.DAY)
def warm_navigation() -> int:
    """One entry holds all categories."""
    stock.navigation()
    return 1


@warmer(
    "product lists",
    group="categories",
    patterns=[f"{stock.LISTS}:*:page:1:sort:*", "category:*:products"],
    every=10 * stock.MINUTE,
)
def warm_product_lists() -> int:
    """The first page of each category, in each order."""
    shown = stock.navigation()
    for category in shown:
        stock.category_products.refresh(category)
        for sort in stock.SORTS:
            stock.product_page.refresh(category, 1, sort)
    return len(shown) * (1 + len(stock.SORTS))


@warmer("product cards", group="products", patterns=["product:*:card"], every=stock.HOUR, timeout=15 * stock.MINUTE)
def warm_cards() -> Iterator[tuple[str, Any]]:
    """One query, and batches of ``set_many``."""
    for row in stock.card_rows(Product.objects.all()).iterator():
        yield stock.card_key(row["id"]), row


@warmer("popular products", group="products", critical=True, patterns=["popular_products:*"], every=10 * stock.MINUTE)
def warm_popular_products() -> int:
    """Of the whole shop and of each category."""
    shown = [None, *(category.pk for category in stock.navigation())]
    return sum(bool(sales.popular_products.refresh(category_id)) for category_id in shown)


@warmer("daily statistics", group="statistics", patterns=["statistics:daily:*"], every=stock.DAY)
def warm_daily_statistics() -> int:
    """The last thirty days."""
    today = timezone.localdate()
    return len([sales.daily_statistics(today - timedelta(days=days)) for days in range(30)])


@warmer("catalogue", group="exports", alias="pages", patterns=["catalogue:csv"], every=stock.HOUR)
def warm_catalogue() -> int:
    exports.catalogue_csv.refresh()
    return 1

"""What was sold: statistics that are expensive to compute and that many pages show."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Sum
from django.utils import timezone

from cache_admin.caching import CacheKeyBuilder, SmartCache, StatisticsCache, cache_result, model_tags, statistic
from shop.models import Order, OrderItem
from shop.stock import DAY, HOUR, MINUTE

_customers = StatisticsCache(timeout=DAY)


def _category_tags(category_id: int | None = None) -> list[str]:
    """What sells best in the whole shop hangs on no category."""
    return [] if category_id is None else [f"category:{category_id}"]


@cache_result(10 * MINUTE, key="popular_products", tags=_category_tags, stale=HOUR)
def popular_products(category_id: int | None = None) -> list[int]:
    """Ids of what sold best in 30 days, in one category or all; while one visitor computes, the others get the old."""
    items = OrderItem.objects.filter(order__placed__gte=timezone.now() - timedelta(days=30))
    if category_id is not None:
        items = items.filter(product__category=category_id)
    sold = items.values("product").annotate(sold=Sum("quantity")).order_by("-sold", "product")
    return list(sold.values_list("product", flat=True)[:6])


def also_bought(pk: int) -> list[dict[str, Any]]:
    """Ids and names of what is often bought together with a product; the product page keeps them."""
    orders = OrderItem.objects.filter(product=pk).values("order")
    others = OrderItem.objects.filter(order__in=orders).exclude(product=pk)
    counted = others.values(name=F("product__name"), number=F("product")).annotate(times=Count("pk"))
    return list(counted.order_by("-times", "number").values("number", "name")[:4])


@statistic(timeout=5 * MINUTE, past_timeout=30 * DAY, key="statistics:daily:{day}")
def daily_statistics(day: date) -> dict[str, Any]:
    """Sales of one day, by default of today. Days that are over are kept for a month."""
    items = OrderItem.objects.filter(order__placed__date=day)
    return items.aggregate(orders=Count("order", distinct=True), sold=Sum(F("price") * F("quantity"), default=0))


def order_total(order: Order) -> Decimal:
    """What one order came to. It hangs on the order and on the customer who placed it."""

    def compute() -> Decimal:
        return order.items.aggregate(total=Sum(F("price") * F("quantity"), default=Decimal(0)))["total"]

    key = CacheKeyBuilder.model_key(order, "total")
    return SmartCache().get_or_set_with_lock(key, compute, DAY, tags=model_tags(order))


def lifetime_value(user: User, *, recalculate: bool = False) -> Decimal:
    """What one customer has spent so far."""

    def compute(customer: User) -> Decimal:
        items = OrderItem.objects.filter(order__user=customer)
        return items.aggregate(spent=Sum(F("price") * F("quantity"), default=Decimal(0)))["spent"]

    return _customers.by_object("lifetime_value", user, compute, recalculate=recalculate)

"""What the shop keeps of one customer: nothing of it may ever be shown to another."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import Count, Sum

from cache_admin.caching import CacheKeyBuilder, SmartCache
from shop.models import OrderItem, Product
from shop.stock import MINUTE, RELEASE


def dashboard_stats(user: User) -> dict[str, Any]:
    """How much one customer has bought; two tabs of one browser compute it once."""
    key = CacheKeyBuilder.user_specific_key(user, "dashboard_stats")

    def compute() -> dict[str, Any]:
        items = OrderItem.objects.filter(order__user=user)
        return items.aggregate(orders=Count("order", distinct=True), items=Sum("quantity", default=0))

    return SmartCache().get_or_set_with_lock(key, compute, 30 * MINUTE, lock_timeout=5)


def recommendations(user: User) -> list[int]:
    """Product ids for one customer. A mistake to be found: these entries never expire."""

    def compute() -> list[int]:
        bought = OrderItem.objects.filter(order__user=user).values("product__category")
        return list(Product.objects.filter(category__in=bought).order_by("-stock").values_list("pk", flat=True)[:20])

    return cache.get_or_set(f"recommendations:user:{user.pk}", compute, None)


def allowed(scope: str, ident: str, rate: int = 60, period: int = MINUTE) -> bool:
    """A rate limit of ``rate`` requests per ``period`` seconds and client, kept as Django REST framework keeps it."""
    key = f"throttle_{scope}_{ident}"
    now = time.time()
    history = [moment for moment in cache.get(key, []) if moment > now - period]
    if len(history) >= rate:
        return False
    cache.set(key, [now, *history], period if RELEASE.limits_expire else None)
    return True

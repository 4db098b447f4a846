"""What partners fetch: the whole catalogue as CSV, and single products as JSON."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.core.cache import caches

from cache_admin.caching import CacheManager, cache_result
from shop.models import Product
from shop.stock import DAY, HOUR, product_facts


@cache_result(HOUR, key="catalogue:csv", alias="pages", stale=DAY, compress=True)
def catalogue_csv() -> str:
    """All products, a large text: compressed here, for the cache of the pages does not compress by itself."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(["id", "category", "name", "price", "description"])
    lines.writerows(Product.objects.values_list("pk", "category__name", "name", "price", "description").iterator())
    return text.getvalue()


def catalogue_entry(pk: int) -> dict[str, Any]:
    """One product as partners get it: JSON in the long-term cache."""
    facts = product_facts(pk)
    entry = {**facts, "price": str(facts["price"])}
    caches["long_term"].set(CacheManager.get_cache_key("catalogue:product", pk), entry)
    return entry

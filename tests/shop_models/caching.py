"""Found by autodiscovery."""

from __future__ import annotations

from collections.abc import Iterator

from cache_admin.caching.warmers import warmer
from tests.shop_models.models import Brand


@warmer("tests-shop-brands", patterns=["tests-brand:*"])
def brands() -> Iterator[tuple[str, str]]:
    for brand in Brand.objects.iterator():
        yield f"tests-brand:{brand.pk}", brand.name

"""Saving a model with five rules by tags, in a cache of a million keys: ``python -m benchmarks.invalidation [-n N]``.

In one run: a bare save, a save with the rules at few keys and at ``n``, and, for comparison, a save whose receiver
calls django-redis's ``delete_pattern`` five times. Target: the rules add at most 2 ms to a save at a million keys.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable

from benchmarks import site_for
from benchmarks.purge import fill

TAGS = ("product:{pk}", "category:{category_id}", "brand:{brand_id}", "products", "price:{price}")
TARGET = 0.002


def seconds(work: Callable[[], object], times: int = 1) -> list[float]:
    """Seconds of each of some calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=200)
    options = parser.parse_args()
    from embedded import running

    with running(prefer="redis-server") as server:
        site_for({"default": server.url})
        from django.conf import settings
        from django.core.cache import caches
        from django.core.management import call_command
        from django.db import connection
        from django.db.models.signals import post_save

        from cache_admin.caching.invalidation import cache_invalidator, figures
        from tests.shop_models.models import Product

        call_command("migrate", verbosity=0, run_syncdb=True)
        product = Product.objects.create(name="a")

        def naive(**kwargs: object) -> None:
            for name in ("product", "category", "brand", "products", "price"):
                caches["default"].delete_pattern(f"{name}:*")  # type: ignore[attr-defined]

        def compare() -> tuple[float, float]:
            """Median seconds of a bare save and of one with the rules, measured in turns of ten."""
            bare: list[float] = []
            ruled: list[float] = []
            for _ in range(options.repeat // 10):
                bare += seconds(product.save, 10)
                rules = [cache_invalidator.register_invalidation_rule(Product, tags=[tag]) for tag in TAGS]
                ruled += seconds(product.save, 10)
                assert all((figures(rule).fired, figures(rule).failed) == (10, 0) for rule in rules)
                for rule in rules:
                    cache_invalidator.unregister(rule)
            return statistics.median(bare), statistics.median(ruled)

        with connection.cursor() as cursor:
            # The disk is not what is compared.
            cursor.execute("PRAGMA synchronous = OFF")
        _, few = compare()
        fill(str(server.socket), "filler", options.n)
        bare, many = compare()
        post_save.connect(naive, sender=Product)
        [slow] = seconds(product.save)
        post_save.disconnect(naive, sender=Product)
        print(f"bare save: {bare * 1000:.2f} ms")
        print(f"5 rules by tags, a few keys: +{(few - bare) * 1000:.2f} ms")
        print(f"5 rules by tags, {options.n:,} keys: +{(many - bare) * 1000:.2f} ms (target <= {TARGET * 1000:.0f} ms)")
        print(f"5 x delete_pattern, {options.n:,} keys: +{(slow - bare) * 1000:,.0f} ms")
        shutil.rmtree(settings.RUN_DIR)


if __name__ == "__main__":
    main()

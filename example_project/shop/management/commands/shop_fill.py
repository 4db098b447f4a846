"""Fills the shop's caches by using them."""

import random
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from cache_admin import words
from cache_admin.caching import CacheWarmer
from cache_admin.keyspace.stats import CacheStats
from shop import bulk
from shop.visits import Visitors


class Command(BaseCommand):
    told = 0.0
    help = "Fill the caches: warmers, visits through the test client, then many keys through set_many."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keys", type=int, default=20_000, help="At least so many keys.")
        parser.add_argument("--seed", type=int, default=7, help="The same seed makes the same keys.")

    def handle(self, *args: Any, keys: int, seed: int, **options: Any) -> None:
        self.told = time.monotonic()
        rng = random.Random(seed)
        self.warm()
        visits = min(600, max(60, keys // 20))
        visitors = Visitors(rng)
        for done in range(visits):
            visitors.visit()
            self.tell(f"{done + 1} of {visits} visits")
        for done in bulk.fill(keys, rng):
            self.tell(f"{done:,} of {keys:,} keys")
        self.stdout.write(f"Filled the caches: {visits} visits, and {done:,} keys beside theirs.")
        self.report()

    def warm(self) -> None:
        """As at the end of a deploy: first what no page can do without, then the rest."""
        for result in (*CacheWarmer.warm_critical_caches(), *CacheWarmer.run(CacheWarmer.due())):
            self.stdout.write(f"Warmer {result.name}: {result.state}, {result.written:,} {result.error}".rstrip())

    def report(self) -> None:
        """The figures of the dashboard, for whoever fills the caches from a terminal."""
        for alias in settings.CACHES:
            info = CacheStats.get_cache_info(alias)
            if info.keys and info.size and info.report:
                most = ", ".join(stats.pattern for stats in info.report.patterns[:3])
                size = words.size(info.size.value, exact=info.size.exact)
                self.stdout.write(
                    f"{alias}: {words.keys(info.keys.value, exact=info.keys.exact)}, {size}; most by {most}"
                )
        products = CacheStats.analyze_cache_keys("default", "product:*")
        if products.keys:
            self.stdout.write(f"product:* has {words.keys(products.keys.value, exact=products.keys.exact)}")

    def tell(self, progress: str) -> None:
        """At most one line every two seconds."""
        if time.monotonic() - self.told >= 2:
            self.told = time.monotonic()
            self.stdout.write(progress)

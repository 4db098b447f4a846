"""New prices in the database, old prices in the cache."""

from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import DecimalField, ExpressionWrapper, F

from cache_admin.caching import SmartCache, touch
from shop.models import Product


class Command(BaseCommand):
    help = "Change all prices by some percent. It forgets the caches: product:* stays stale, for you to flush."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("percent", type=Decimal, nargs="?", default=Decimal(10))
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--touch", action="store_true", help="Tell the rules, as it should be: nothing is stale.")
        how.add_argument("--drop", action="store_true", help="Drop product:* by one pass over the keys instead.")

    def handle(self, *args: Any, percent: Decimal, **options: Any) -> None:
        price = ExpressionWrapper(F("price") * (1 + percent / 100), DecimalField(max_digits=9, decimal_places=2))
        count = Product.objects.update(price=price)
        if options["touch"]:
            touch(Product, Product.objects.values_list("pk", flat=True))
        say = "Cached prices were dropped." if options["touch"] else "Cached prices are stale now."
        if options["drop"]:
            say = f"{SmartCache().invalidate_pattern('product:*'):,} keys of product:* were dropped."
        self.stdout.write(f"Changed {count} prices by {percent} %. {say}")

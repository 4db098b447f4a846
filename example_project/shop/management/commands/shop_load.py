"""Fills the shop's tables."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shop import catalogue


class Command(BaseCommand):
    help = "Load products, customers, orders and the three staff users. Running it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", type=int, default=1, help="1 is 600 products, 200 customers, 800 orders.")

    def handle(self, *args: Any, scale: int, **options: Any) -> None:
        catalogue.load(scale)
        self.stdout.write(f"Loaded {catalogue.Product.objects.count()} products.")

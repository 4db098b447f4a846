"""A crowd that keeps visiting the shop."""

import logging
import random
import time
from typing import Any

import lifetime
from django.core.management.base import BaseCommand, CommandParser
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from cache_admin.caching import CacheWarmer
from shop.stock import MINUTE
from shop.visits import Visitors


class Command(BaseCommand):
    help = "Visit the shop and run the warmers that are due, until told to stop. Goes on when the server was away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rate", type=float, default=10.0, help="Visits per second.")
        parser.add_argument("--visits", type=int, default=0, help="End after so many.")
        parser.add_argument("--parent", type=int, default=0, help="Process to end with, if not the one above.")

    def handle(self, *args: Any, rate: float, visits: int, parent: int, **options: Any) -> None:
        lifetime.end_with_parent(parent)
        logging.getLogger("django.request").setLevel(logging.CRITICAL)
        rng = random.Random()
        visitors = Visitors(rng)
        warmed = time.monotonic()
        done = 0
        while not visits or done < visits:
            try:
                visitors.visit()
                done += 1
                if time.monotonic() > warmed + MINUTE:
                    warmed = time.monotonic()
                    CacheWarmer.run(CacheWarmer.due())
            except (ConnectionInterrupted, RedisError):
                time.sleep(1)
            time.sleep(rng.expovariate(rate))

"""Visitors of the shop: requests through the test client, so that the caches fill the way they do in production."""

from __future__ import annotations

import random
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from shop import stock
from shop.catalogue import ADJECTIVES, NOUNS
from shop.models import Category, Product

LANGUAGES = ("en-us", "en-us", "en-us", "de")


class Visitors:
    """A crowd of at most ``size`` visitors; about half have signed in. ``visit()`` is one request of one of them."""

    def __init__(self, rng: random.Random, size: int = 40) -> None:
        self.rng = rng
        self.size = size
        self.clients: list[tuple[Client, bool]] = []
        self.products = list(Product.objects.values_list("pk", flat=True))
        self.categories = list(Category.objects.values_list("slug", flat=True))
        self.customers = list(User.objects.filter(username__startswith="customer"))

    def visit(self) -> None:
        client, signed_in = self._someone()
        roll = self.rng.random()
        if roll < 0.45:
            client.get(reverse("shop:product", args=[self._product()]))
        elif roll < 0.62:
            sort, page = self.rng.choice(list(stock.SORTS)), self.rng.choice((1, 1, 1, 2, 3))
            url = reverse("shop:products", args=[self.rng.choice(self.categories)])
            client.get(url, {"sort": sort, "page": page})
        elif roll < 0.70:
            client.get(reverse("shop:home"))
        elif roll < 0.75:
            client.get(reverse("shop:categories"))
        elif roll < 0.83:
            client.get(reverse("shop:search"), {"q": f"{self.rng.choice(ADJECTIVES)} {self.rng.choice(NOUNS)}"})
        elif roll < 0.90:
            self._look_up()
        elif roll < 0.95 or not signed_in:
            client.post(reverse("shop:add_to_cart", args=[self._product()]))
        elif roll < 0.99:
            client.get(reverse("shop:dashboard"))
        else:
            client.post(reverse("shop:checkout"))

    def _product(self) -> int:
        """Few products get most visits."""
        return self.products[min(int(self.rng.paretovariate(0.6)), len(self.products)) - 1]

    def _look_up(self) -> None:
        """What background jobs of the shop ask for; part of it is not there."""
        stock.daily_statistics(timezone.localdate() - timedelta(days=self.rng.randrange(30)))
        stock.catalogue_entry(self._product())
        cache.get(f"product:{self.rng.randrange(1, 1_000_000)}:reviews")

    def _someone(self) -> tuple[Client, bool]:
        if len(self.clients) < self.size:
            self.clients.append(self._arrive())
        place = self.rng.randrange(len(self.clients))
        if self.rng.random() < 0.01:
            self.clients[place] = self._arrive()
        return self.clients[place]

    def _arrive(self) -> tuple[Client, bool]:
        rng = self.rng
        address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        client = Client(headers={"accept-language": rng.choice(LANGUAGES)}, REMOTE_ADDR=address)
        signed_in = rng.random() < 0.5
        if signed_in:
            client.force_login(rng.choice(self.customers))
        return client, signed_in

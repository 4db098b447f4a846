"""Visitors of the shop: requests through the test client, so that the caches fill the way they do in production."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date

from shop import exports, stock
from shop.catalogue import ADJECTIVES, NOUNS
from shop.models import Category, Product
from shop.sales import daily_statistics

#: Prices change among the first products only, so that those of the others hold still for who tries the shop.
REPRICED = 100
LANGUAGES = ("en-us", "en-us", "en-us", "de")


class Visitors:
    """A crowd of at most ``size`` visitors; about half have signed in. ``visit()`` is one request of one of them."""

    def __init__(self, rng: random.Random, size: int = 40) -> None:
        self.rng = rng
        self.size = size
        self.clients: list[tuple[Client, bool]] = []
        self.products = list(Product.objects.order_by("pk").values_list("pk", flat=True))
        self.categories = list(Category.objects.values_list("slug", flat=True))
        self.customers = list(User.objects.filter(username__startswith="customer"))
        self.staff = Client()
        self.staff.force_login(User.objects.get(username="admin"))

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
        elif roll < 0.88:
            self._look_up()
        elif roll < 0.90:
            self._ask_whether_it_changed(client)
        elif roll < 0.91:
            self._change_a_price()
        elif roll < 0.95 or not signed_in:
            client.post(reverse("shop:add_to_cart", args=[self._product()]))
        elif roll < 0.98:
            client.get(reverse("shop:dashboard"))
        else:
            client.post(reverse("shop:add_to_cart", args=[self._product()]))
            client.post(reverse("shop:checkout"))

    def _product(self) -> int:
        """Few products get most visits."""
        return self.products[min(int(self.rng.paretovariate(0.6)), len(self.products)) - 1]

    def _look_up(self) -> None:
        """What background jobs of the shop ask for; part of it is not there."""
        daily_statistics(timezone.localdate() - timedelta(days=self.rng.randrange(30)))
        exports.catalogue_entry(self._product())
        cache.get(f"product:{self.rng.randrange(1, 1_000_000)}:reviews")

    def _ask_whether_it_changed(self, client: Client) -> None:
        """Browsers and partners that have these pages already; they get an empty 304."""
        client.get(reverse("shop:terms"), headers={"if-modified-since": http_date()})
        answer = client.get(reverse("shop:catalogue"))
        client.get(reverse("shop:catalogue"), headers={"if-none-match": answer["ETag"]})

    def _change_a_price(self) -> None:
        """What staff does all day, in the admin."""
        product = self.rng.choice(self.products[:REPRICED])
        row = Product.objects.values("category", "name", "description", "price", "stock").get(pk=product)
        price = (row["price"] * self.rng.choice((95, 98, 102, 105)) / 100).quantize(Decimal("0.01"))
        self.staff.post(reverse("admin:shop_product_change", args=[product]), {**row, "price": price})

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

"""What the shop sells and who buys: made up, the same on every machine."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import Permission, User
from django.utils import timezone
from django.utils.text import slugify

from shop.models import Category, Order, OrderItem, Product, Review

CATEGORIES = (
    "Bags", "Bicycles", "Books", "Cameras", "Chairs", "Coffee", "Garden", "Headphones", "Kitchen", "Lamps", "Music",
    "Office", "Outdoor", "Pets", "Phones", "Shoes", "Sports", "Tables", "Tea", "Tools", "Toys", "Travel", "Watches",
    "Wine",
)  # fmt: skip
ADJECTIVES = ("Blue", "Compact", "Fine", "Folding", "Green", "Light", "Old", "Quiet", "Red", "Small", "Sturdy", "Warm")
NOUNS = ("Basket", "Bell", "Box", "Case", "Classic", "Companion", "Duo", "Edition", "Kit", "One", "Set", "Special")
REVIEWS = (
    "Just as described.",
    "Would buy it again.",
    "Smaller than I thought.",
    "A fine gift.",
    "Came late, works well.",
)
#: Staff: name (and password), and their permissions on the cache pages.
STAFF = {
    "support": ("view_cache", "view_values", "invalidate", "view_audit"),
    "viewer": ("view_cache",),
}


def load(scale: int = 1) -> None:
    """Products, customers and orders, ``scale`` times 600, 200 and 800. Running it again changes nothing."""
    rng = random.Random(7)
    load_staff()
    Category.objects.bulk_create(
        (Category(pk=pk, name=name, slug=slugify(name)) for pk, name in enumerate(CATEGORIES, 1)), ignore_conflicts=True
    )
    products = [_product(pk, rng) for pk in range(1, 600 * scale + 1)]
    Product.objects.bulk_create(products, ignore_conflicts=True, batch_size=2000)
    customers = [
        User(username=f"customer{n}", password="!", email=f"customer{n}@example.com") for n in range(200 * scale)
    ]
    User.objects.bulk_create(customers, ignore_conflicts=True, batch_size=2000)
    if not Order.objects.exists():
        _load_orders(rng, products, 800 * scale)


def load_staff() -> None:
    """``admin`` may do all, ``support`` may invalidate, ``viewer`` may look. The password is the name."""
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", "admin@example.com", "admin")
    for name, codenames in STAFF.items():
        user, created = User.objects.get_or_create(username=name, defaults={"is_staff": True})
        if created:
            user.set_password(name)
            user.save()
        permissions = Permission.objects.filter(content_type__app_label="cache_admin", codename__in=codenames)
        user.user_permissions.set(permissions)


def _product(pk: int, rng: random.Random) -> Product:
    name = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {pk}"
    return Product(
        pk=pk,
        category_id=rng.randrange(len(CATEGORIES)) + 1,
        name=name,
        description=f"The {name.lower()}: made to last, easy to mend. " * rng.randint(1, 6),
        price=Decimal(rng.randrange(499, 39_999)) / 100,
        stock=rng.randrange(200),
    )


def _load_orders(rng: random.Random, products: list[Product], count: int) -> None:
    Review.objects.bulk_create(
        Review(product=product, stars=rng.randint(2, 5), text=rng.choice(REVIEWS))
        for product in products
        for _ in range(rng.randrange(4))
    )
    customers = list(User.objects.filter(username__startswith="customer").values_list("pk", flat=True))
    today: datetime = timezone.now()
    orders = Order.objects.bulk_create(
        Order(user_id=rng.choice(customers), placed=today - timedelta(minutes=rng.randrange(60 * 24 * 90)))
        for _ in range(count)
    )
    OrderItem.objects.bulk_create(
        OrderItem(order=order, product=product, quantity=rng.randint(1, 3), price=product.price)
        for order in orders
        for product in rng.sample(products, rng.randint(1, 4))
    )

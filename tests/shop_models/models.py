"""A small shop, for tests of what hangs on models."""
# ruff: noqa: DJ008

from __future__ import annotations

from django.db import models

from cache_admin.caching.querysets import CachedManager, CachedQuerySet


class Brand(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Category(models.Model):
    name = models.CharField(max_length=50)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")


class Label(models.Model):
    name = models.CharField(max_length=50)


class Product(models.Model):
    name = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    category = models.ForeignKey(Category, null=True, blank=True, on_delete=models.SET_NULL, related_name="products")
    brand = models.ForeignKey(Brand, to_field="name", null=True, blank=True, on_delete=models.SET_NULL)
    labels = models.ManyToManyField(Label, related_name="products")


class Offer(Product):
    """A product in a table of its own beside it."""

    ends = models.DateField(null=True)


class Cheap(Product):
    class Meta:
        proxy = True


class Leaflet(models.Model):
    product = models.OneToOneField(Product, on_delete=models.CASCADE, related_name="leaflet")
    text = models.TextField(default="")


class Review(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reviews")
    stars = models.IntegerField(default=5)


class Unrelated(models.Model):
    name = models.CharField(max_length=50, default="")


class Shelf(models.Model):
    name = models.CharField(max_length=50)


class Author(models.Model):
    name = models.CharField(max_length=50)


class Book(models.Model):
    """Its rows are kept; it is related to shelves, authors and pages."""

    title = models.CharField(max_length=50)
    price = models.IntegerField(default=0)
    data = models.JSONField(default=dict)
    shelf = models.ForeignKey(Shelf, null=True, on_delete=models.CASCADE, related_name="books")
    authors = models.ManyToManyField(Author, related_name="books")

    objects = CachedManager()


class Page(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE)
    number = models.IntegerField(default=1)

    objects = CachedQuerySet.as_manager()


class Word(models.Model):
    """Two steps from a kept model, so nobody listens to it by itself."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="words")
    ink = models.ForeignKey("Ink", null=True, on_delete=models.CASCADE)


class Ink(models.Model):
    colour = models.CharField(max_length=50)

"""A small shop, for tests of what hangs on models."""
# ruff: noqa: DJ008

from __future__ import annotations

from django.db import models


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

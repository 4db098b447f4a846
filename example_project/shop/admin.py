from functools import partial
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from cache_admin.caching import cache_invalidator, invalidate_page, invalidate_tags
from shop.models import Category, Order, OrderItem, Product
from shop.sales import order_total
from shop.stock import SORTS


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}

    actions = ["drop_lists"]

    @admin.action(description="Drop the cached lists of the selected categories")
    def drop_lists(self, request: HttpRequest, categories: QuerySet[Category]) -> None:
        invalidate_tags(*(f"category:{category.pk}" for category in categories))

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        """Whole pages show its name. They are kept by their address, whose host the request knows."""
        super().save_model(request, obj, form, change)
        url = obj.get_absolute_url()
        pages = [reverse("shop:home"), reverse("shop:categories"), url, *(f"{url}?sort={sort}" for sort in SORTS)]

        def forget() -> None:
            for page in pages:
                invalidate_page(page, alias="pages", request=request)

        transaction.on_commit(forget)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "category", "price", "stock"]
    list_filter = ["category"]
    search_fields = ["name"]
    actions = ["drop_cached"]

    @admin.action(description="Drop all that is cached of the selected products")
    def drop_cached(self, request: HttpRequest, products: QuerySet[Product]) -> None:
        for product in products:
            cache_invalidator.invalidate_model_cache(Product, product.pk)


class OrderItemInline(admin.TabularInline):
    model = OrderItem
    raw_id_fields = ["product"]
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["pk", "user", "placed", "total"]
    raw_id_fields = ["user"]
    inlines = [OrderItemInline]

    def total(self, order: Order) -> str:
        return f"{order_total(order):.2f}"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Its lines changed, which no rule of Order hears of: all that hangs on it and on what it points at goes."""
        super().save_related(request, form, formsets, change)
        transaction.on_commit(partial(cache_invalidator.invalidate_related_caches, form.instance))

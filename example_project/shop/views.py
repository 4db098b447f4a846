"""The shop's pages. Each shows one way to use a cache: whole pages, fragments, values, sessions, counters, locks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_page
from django.views.decorators.http import require_POST
from django.views.decorators.vary import vary_on_headers

from cache_admin.caching import cache_per_user, conditional_page, invalidate_page
from shop import customers, exports, stock
from shop.models import Category, Order, OrderItem, Product
from shop.sales import also_bought, daily_statistics, lifetime_value, popular_products
from shop.stock import DAY, HOUR, MINUTE, product_cards

TERMS_CHANGED = datetime(2026, 10, 1, tzinfo=UTC)


@cache_page(5 * MINUTE, cache="pages", key_prefix="home")
def home(request: HttpRequest) -> HttpResponse:
    context = {
        "best": product_cards(popular_products()),
        "visited": product_cards(stock.most_visited(6)),
        "newest": stock.newest_products(6),
        "categories": stock.navigation(),
    }
    return render(request, "shop/home.html", context)


@cache_page(15 * MINUTE, cache="pages", key_prefix="categories")
def categories(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/categories.html", {"categories": stock.navigation()})


@cache_page(15 * MINUTE, cache="pages", key_prefix="product_list")
@vary_on_headers("Accept-Language")
def products(request: HttpRequest, slug: str) -> HttpResponse:
    category = get_object_or_404(Category, slug=slug)
    page, sort = _number(request.GET.get("page")), request.GET.get("sort", "name")
    total = len(stock.category_products(category))
    context = {
        "category": category,
        "best": product_cards(popular_products(category.pk)[:3]) if page == 1 else [],
        "products": stock.product_page(category, page, sort if sort in stock.SORTS else "name"),
        "page": page,
        "sort": sort,
        "sorts": stock.SORTS,
        "has_next": page * stock.PAGE_SIZE < total,
    }
    return render(request, "shop/products.html", context)


def product(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        facts = stock.product_facts(pk)
    except Product.DoesNotExist:
        raise Http404("No such product.") from None
    context = {
        "product": facts,
        "reviews": stock.product_reviews(pk),
        "views": stock.count_view(pk),
        "also_bought": also_bought,
    }
    return render(request, "shop/product.html", context)


def search(request: HttpRequest) -> HttpResponse:
    if not customers.allowed("search", request.META.get("REMOTE_ADDR", "")):
        return HttpResponse("Too many searches. Try again in a minute.", status=429)
    query = request.GET.get("q", "").strip()[:100]
    results = stock.search_results(query) if query else []
    return render(request, "shop/search.html", {"query": query, "products": results})


@login_required
@cache_per_user(5 * MINUTE, alias="pages")
def dashboard(request: HttpRequest) -> HttpResponse:
    context = {
        "stats": customers.dashboard_stats(request.user),
        "spent": lifetime_value(request.user),
        "products": product_cards(customers.recommendations(request.user)[:6]),
    }
    return render(request, "shop/dashboard.html", context)


@conditional_page(last_modified=lambda request: TERMS_CHANGED, browser=HOUR, proxy=DAY, tags=["terms"])
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/terms.html", {"changed": TERMS_CHANGED})


@conditional_page(browser=5 * MINUTE, proxy=HOUR, stale=HOUR)
def catalogue(request: HttpRequest) -> HttpResponse:
    return HttpResponse(exports.catalogue_csv(), content_type="text/csv")


@staff_member_required
def sales(request: HttpRequest) -> HttpResponse:
    again, today = "recalculate" in request.GET, timezone.localdate()
    days = [today - timedelta(days=days) for days in range(14)]
    statistics = {day: daily_statistics(day, recalculate=again) for day in days}
    return render(request, "shop/sales.html", {"statistics": statistics})


def cart(request: HttpRequest) -> HttpResponse:
    items = request.session.get("cart", {})
    lines = [{"product": card, "quantity": items[str(card["id"])]} for card in product_cards(map(int, items))]
    return render(request, "shop/cart.html", {"lines": lines})


@require_POST
def add_to_cart(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(Product, pk=pk)
    items = request.session.setdefault("cart", {})
    items[str(pk)] = items.get(str(pk), 0) + 1
    request.session.modified = True
    return redirect("shop:cart")


@require_POST
@login_required
def checkout(request: HttpRequest) -> HttpResponse:
    """Places the order under a lock, so that two clicks make one order."""
    with cache.lock(f"lock:checkout:user:{request.user.pk}", timeout=30, blocking_timeout=5):
        items = request.session.pop("cart", {})
        if items:
            _place_order(request.user, items)
            invalidate_page("shop:dashboard", alias="pages", user=request.user, request=request)
    return redirect("shop:dashboard")


@transaction.atomic
def _place_order(user: User, items: dict[str, int]) -> None:
    """The rules of Order run after the commit, when its items are there too."""
    order = Order.objects.create(user=user, placed=timezone.now())
    bought = Product.objects.in_bulk([int(pk) for pk in items])
    OrderItem.objects.bulk_create(
        OrderItem(order=order, product=product, quantity=items[str(pk)], price=product.price)
        for pk, product in bought.items()
    )


def _number(text: str | None) -> int:
    return max(1, int(text)) if text and text.isdecimal() else 1

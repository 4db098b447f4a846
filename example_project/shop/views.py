"""The shop's pages. Each shows one way to use a cache: whole pages, fragments, values, sessions, counters, locks."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_page
from django.views.decorators.http import require_POST
from django.views.decorators.vary import vary_on_headers

from shop import stock
from shop.models import Category, Order, OrderItem, Product


@cache_page(5 * stock.MINUTE, cache="pages", key_prefix="home")
def home(request: HttpRequest) -> HttpResponse:
    best = [int(pk) for pk in cache.zrevrange("best_sellers:visits", 0, 5)]
    products = Product.objects.filter(pk__in=best) if best else Product.objects.all()[:6]
    return render(request, "shop/home.html", {"products": products, "categories": Category.objects.all()})


@cache_page(15 * stock.MINUTE, cache="pages", key_prefix="categories")
def categories(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/categories.html", {"categories": Category.objects.all()})


@cache_page(15 * stock.MINUTE, cache="pages", key_prefix="product_list")
@vary_on_headers("Accept-Language")
def products(request: HttpRequest, slug: str) -> HttpResponse:
    category = get_object_or_404(Category, slug=slug)
    page, sort = _number(request.GET.get("page")), request.GET.get("sort", "name")
    total = len(stock.category_products(category))
    context = {
        "category": category,
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
    views = stock.count_view(pk)
    return render(
        request, "shop/product.html", {"product": facts, "reviews": stock.product_reviews(pk), "views": views}
    )


def search(request: HttpRequest) -> HttpResponse:
    if not stock.allowed("search", request.META.get("REMOTE_ADDR", "")):
        return HttpResponse("Too many searches. Try again in a minute.", status=429)
    query = request.GET.get("q", "").strip()[:100]
    results = stock.search_results(query) if query else []
    return render(request, "shop/search.html", {"query": query, "products": results})


@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    context = {
        "stats": stock.dashboard_stats(request.user),
        "products": [stock.product_facts(pk) for pk in stock.recommendations(request.user)[:6]],
    }
    return render(request, "shop/dashboard.html", context)


def cart(request: HttpRequest) -> HttpResponse:
    lines = [
        {"product": stock.product_facts(int(pk)), "quantity": quantity}
        for pk, quantity in request.session.get("cart", {}).items()
    ]
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
            order = Order.objects.create(user=request.user, placed=timezone.now())
            bought = Product.objects.in_bulk([int(pk) for pk in items])
            OrderItem.objects.bulk_create(
                OrderItem(order=order, product=bought[int(pk)], quantity=quantity, price=bought[int(pk)].price)
                for pk, quantity in items.items()
            )
            cache.delete(f"user:{request.user.pk}:dashboard_stats")
    return redirect("shop:dashboard")


def _number(text: str | None) -> int:
    return max(1, int(text)) if text and text.isdecimal() else 1

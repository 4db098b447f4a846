"""The caches of the example shop: what its pages fill, and what becomes stale when something in it changes.

The shop runs in a process of its own without visitors. "Stale" is seen from outside: pages are asked again, and the
entries that were written anew are compared with those that stayed as they were.
"""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import redis
from embedded import running

from tests.test_demo import read, token

PROJECT = Path(__file__).parent.parent / "example_project"
SERVE = """
import threading, demo, django
web = demo.reserve_port()
django.setup()
with demo.serving(web):
    print(web.server_port, flush=True)
    threading.Event().wait()
"""

#: What projects call, by name.
TOOLKIT = [
    "CacheKeyBuilder", "build_key", "user_specific_key", "model_key", "CacheManager", "get_cache_key",
    "cache_result", "refresh", "tags", "stale", "jitter", "compress", "SmartCache", "get_or_set_with_lock",
    "invalidate_pattern", "get_many_with_fallback", "cache_per_user", "invalidate_page", "cache_include",
    "cached_value", "invalidate_fragment", "CachedManager", "CachedQuerySet", "as_manager", "cached",
    "cache_invalidator", "invalidate_model_cache", "invalidate_related_caches", "model_tags",
    "register_invalidation_rule", "invalidates", "touch", "invalidate_tags", "StatisticsCache", "by_object",
    "statistic", "recalculate", "warmer", "CacheWarmer", "warm_critical_caches", "CacheMonitoringMiddleware",
    "CacheStats", "get_cache_info", "analyze_cache_keys", "conditional_page", "register_purger", "HttpPurger",
]  # fmt: skip

pytestmark = pytest.mark.servers


class Shop:
    """A served shop, a browser that is signed in as ``admin``, and its cache server."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url = url
        self.environment = environment
        self.browser = urllib.request.build_opener()
        self.clients = [redis.Redis.from_url(f"{environment['REDIS_URL']}?db={number}") for number in (0, 1)]

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def sign_in(self, name: str) -> None:
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.post("admin/login/", username=name, password=name, next="/admin/")

    def get(self, *paths: str) -> str:
        """Opens pages; the content of the last."""
        return [read(self.browser, self.url + path) for path in paths][-1]

    def post(self, path: str, **form: str) -> str:
        """Sends a form with what ``path`` shows in it, some fields changed."""
        shown = self.get(path)
        form = {**fields(shown), **form, "csrfmiddlewaretoken": token(shown)}
        return read(self.browser, self.url + path, form)

    def order(self, product: int) -> str:
        """Buys one product; the page that follows."""
        page = self.get(f"products/{product}/")
        cart = read(self.browser, f"{self.url}cart/add/{product}/", {"csrfmiddlewaretoken": token(page)})
        return read(self.browser, f"{self.url}cart/checkout/", {"csrfmiddlewaretoken": token(cart)})

    def answer(self, path: str, **headers: str) -> tuple[int, dict[str, str]]:
        """Status and headers, asked by nobody in particular."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, dict(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers)

    def entries(self) -> dict[str, bytes]:
        """All entries of the shop and of its pages as they are stored, except tags and counters."""
        found = {}
        for client in self.clients:
            keys = sorted(client.scan_iter(count=1000))
            found |= {key.decode().split(":", 2)[2]: client.dump(key) for key in keys}
        own = re.compile(r"cache_tag:|cache_warm:|views:|best_sellers:|django.contrib.sessions|throttle_")
        return {key: value for key, value in found.items() if not own.match(key)}

    def names(self) -> set[str]:
        return set(self.entries())


def fields(page: str) -> dict[str, str]:
    """What a form of the admin is filled with."""
    found = dict(re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', page))
    found |= {name: value.strip() for name, value in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>([^<]*)<', page)}
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        if chosen := re.search(r'<option value="([^"]+)" selected', options):
            found[name] = chosen[1]
    return found


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Names of entries that were dropped or written anew."""
    return {key for key, value in before.items() if after.get(key) != value}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running() as server:
        database = tmp_path_factory.mktemp("shop") / "db.sqlite3"
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        environment = {**inherited, "REDIS_URL": server.url, "SHOP_DATABASE": str(database), "PORT": "0", "DEBUG": "0"}
        shop = Shop("", environment)
        shop.manage("migrate", "--verbosity=0")
        shop.manage("shop_load")
        command = [sys.executable, "-c", SERVE]
        environment = {**environment, "DJANGO_SETTINGS_MODULE": "shop_site.settings"}
        with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            shop.url = f"http://127.0.0.1:{process.stdout.readline().strip()}/"
            shop.sign_in("admin")
            yield shop
            process.kill()
        for client in shop.clients:
            client.close()


@pytest.fixture
def shop(served: Shop) -> Shop:
    """With empty caches; the database stays as the tests before left it."""
    for client in served.clients:
        client.flushdb()
    return served


def category_of(shop: Shop, product: int) -> tuple[int, str]:
    """Id and slug of a product's category."""
    slug = re.search(r"/categories/([\w-]+)/", shop.get(f"products/{product}/"))
    selected = fields(shop.get(f"admin/shop/product/{product}/change/"))["category"]
    assert slug
    return int(selected), slug[1]


def matching(patterns: Iterable[str], names: Iterable[str]) -> dict[str, bool]:
    return {pattern: any(re.fullmatch(pattern, name) for name in names) for pattern in patterns}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", ["navigation:shop.category:rows:.*", "newest:shop.product:rows:.*", "popular_products:category_id:None"]),
        ("products/12/", ["product:12", "product:12:reviews", "include:product_facts:.*", "value:also_bought:.*:12",
                          "template.cache.product_detail.*", "template.cache.product_reviews.*"]),
        ("categories/tea/", [r"category:\d+:products", r"v2:product_list:category_id:\d+:page:1:sort:name",
                             r"popular_products:category_id:\d+", "views.decorators.cache.cache_page.product_list.*"]),
        ("search/?q=blue", ["search:[0-9a-f]{32}", r"product:\d+:card", "template.cache.product_card.*"]),
        ("dashboard/", ["user:1:dashboard_stats", r"statistics:lifetime_value:auth.user\(1\)",
                        "recommendations:user:1", "views.decorators.cache.cache_page.user:1.GET.*"]),
        ("sales/", [r"statistics:daily:\d{4}-\d\d-\d\d"]),
        ("catalogue.csv", ["catalogue:csv"]),
    ],
)  # fmt: skip
def test_a_page_fills_the_caches_it_reads(shop: Shop, path: str, expected: list[str]) -> None:
    shop.get(path)
    assert matching(expected, shop.names()) == dict.fromkeys(expected, True)
    before = shop.entries()
    shop.get(path)
    assert changed(before, shop.entries()) == set()


def test_a_new_price_drops_what_shows_it_and_nothing_else(shop: Shop) -> None:
    category, slug = category_of(shop, 12)
    other = next(pk for pk in range(13, 40) if category_of(shop, pk)[0] != category)
    name = fields(shop.get("admin/shop/product/12/change/"))["name"]
    search = f"search/?q={urllib.parse.quote(name)}"
    lists = [f"categories/{slug}/", f"categories/{category_of(shop, other)[1]}/"]
    pages = ["", "dashboard/", *lists, "products/12/", "products/120/", f"products/{other}/", search]
    shop.get(*pages)
    before = shop.entries()

    shop.post("admin/shop/product/12/change/", price="4321.00", _save="Save")
    shop.clients[1].flushdb()  # whole pages of lists are kept for their time
    assert [path for path in ("products/12/", search) if "4321.00 €" not in shop.get(path)] == []
    shop.get(*pages)
    names = ("product:12$", "product:12:card$", "search:", "newest:", f"category:{category}:products$",
             f"popular_products:category_id:{category}$", f"v2:product_list:category_id:{category}:")  # fmt: skip
    expected = {key for key in before if re.match("|".join(names), key)}
    assert {key for key in changed(before, shop.entries()) if not key.startswith("views.decorators")} == expected
    assert len(expected) == len(names)


def test_an_order_shows_on_the_customers_page_at_once(shop: Shop) -> None:
    shop.get("dashboard/", "products/13/")
    before = shop.entries()
    orders = re.search(r"(\d+) orders?,", shop.get("dashboard/"))
    assert orders
    assert f"{int(orders[1]) + 1} order" in shop.order(14)
    page = {key for key in before if "cache_page.user:1." in key}
    assert page
    assert changed(before, shop.entries()) == {
        "user:1:dashboard_stats", "statistics:lifetime_value:auth.user(1)", *page
    }  # fmt: skip


def test_an_order_that_is_rolled_back_drops_nothing(shop: Shop) -> None:
    shop.get("dashboard/", "products/12/")
    before = shop.entries()
    script = """
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from shop.models import Order
with transaction.atomic():
    Order.objects.create(user=User.objects.get(pk=1), placed=timezone.now())
    {end}
"""
    shop.manage("shell", "--verbosity=0", "-c", script.format(end="transaction.set_rollback(True)"))
    assert changed(before, shop.entries()) == set()
    shop.manage("shell", "--verbosity=0", "-c", script.format(end="pass"))
    assert "user:1:dashboard_stats" in changed(before, shop.entries())


def test_a_renamed_category_shows_its_new_name_everywhere(shop: Shop) -> None:
    pk, slug = category_of(shop, 12)
    pages = ["", "categories/", f"categories/{slug}/", f"categories/{slug}/?sort=price", "products/12/"]
    shop.get(*pages)
    shop.post(f"admin/shop/category/{pk}/change/", name=f"Renamed {pk}", _save="Save")
    assert [page for page in pages if f"Renamed {pk}" not in shop.get(page)] == []


def test_new_prices_in_bulk_are_stale_until_the_rules_are_told(shop: Shop) -> None:
    def price() -> str:
        found = re.search(r'class="price">([\d.]+)', shop.get("products/30/"))
        assert found
        return found[1]

    old = price()
    shop.manage("shop_reprice", "10")
    assert price() == old
    shop.manage("shop_reprice", "10", "--touch")
    assert price() != old


def test_a_review_shows_through_both_fragments(shop: Shop) -> None:
    assert "Best in town" not in shop.get("products/12/")
    script = "from shop.models import Review; Review.objects.create(product_id=12, stars=5, text='Best in town')"
    shop.manage("shell", "--verbosity=0", "-c", script)
    assert "Best in town" in shop.get("products/12/")


def test_warmers_fill_what_the_pages_read(shop: Shop) -> None:
    shop.manage("cache_warm")
    before = shop.entries()
    shop.get("", "categories/tea/", "search/?q=blue", "catalogue.csv")
    warm = re.compile("navigation:|popular_products:|v2:product_list:|category:|catalogue:csv|product:[0-9]+:card")
    assert {key for key in shop.names() - set(before) if warm.match(key)} == set()
    assert changed(before, shop.entries()) == set()


def test_an_order_that_is_changed_in_the_admin_shows_its_new_total(shop: Shop) -> None:
    shop.order(12)
    found = re.findall(r"/admin/shop/order/(\d+)/change/", shop.get("admin/shop/order/?o=-1"))
    order = max(map(int, found))
    change = f"admin/shop/order/{order}/change/"
    before, page = shop.entries(), fields(shop.get(change))
    assert f"shop.order:{order}:total" in before
    total = re.compile(rf'/order/{order}/change/[^>]*>.*?field-total">([\d.,]+)<', re.DOTALL)
    first = total.search(shop.get("admin/shop/order/?o=-1"))
    quantity = next(name for name in page if name.endswith("-0-quantity"))
    assert shop.post(change, **{quantity: "3"})
    second = total.search(shop.get("admin/shop/order/?o=-1"))
    assert first
    assert second
    assert float(second[1]) == pytest.approx(3 * float(first[1]))


def test_new_prices_in_bulk_can_be_dropped_by_pattern(shop: Shop) -> None:
    shop.get("products/12/", "search/?q=blue")
    said = shop.manage("shop_reprice", "10", "--drop")
    assert re.search(r"[1-9]\d* keys of product:\* were dropped", said)
    assert not [name for name in shop.names() if name.startswith("product:")]
    assert [name for name in shop.names() if name.startswith("search:")]


@pytest.mark.parametrize("name", TOOLKIT)
def test_the_shop_uses_the_whole_library(name: str) -> None:
    sources = [path for path in PROJECT.rglob("*") if path.suffix in {".py", ".html"} and ".run" not in path.parts]
    assert [path.name for path in sources if re.search(rf"\b{name}\b", path.read_text())]


def test_a_page_of_one_customer_is_never_shown_to_another(shop: Shop) -> None:
    assert "0 orders" not in shop.order(14)
    shop.get("dashboard/")
    try:
        shop.sign_in("support")
        assert re.findall(r"<p>(.* in all)", shop.get("dashboard/")) == ["0 orders, 0 items, 0 € in all"]
    finally:
        shop.sign_in("admin")


def test_staff_sees_in_headers_what_a_page_asked_of_the_caches(shop: Shop) -> None:
    shop.get("products/12/")
    with shop.browser.open(f"{shop.url}products/12/", timeout=20) as response:
        assert int(response.headers["X-Cache-Hits"]) > 4
        assert response.headers["X-Cache-Hit-Rate"].endswith("%")
        assert "cache;dur=" in response.headers["Server-Timing"]
    assert "X-Cache-Hits" not in shop.answer("products/12/")[1]


def test_pages_that_did_not_change_are_not_sent_again(shop: Shop) -> None:
    for path in ("terms/", "catalogue.csv"):
        status, headers = shop.answer(path)
        assert status == 200
        assert "s-maxage" in headers["Cache-Control"]
        assert shop.answer(path, **{"If-None-Match": headers["ETag"]})[0] == 304

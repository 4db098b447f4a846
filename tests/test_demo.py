"""The example shop and its demo, as somebody runs them: one process group, real HTTP, real caches."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

PROJECT = Path(__file__).parent.parent / "example_project"
KEYS = 600

pytestmark = pytest.mark.servers


@dataclass
class Demo:
    """A started demo: its process, its address, and the address of its cache server."""

    process: subprocess.Popen[str]
    url: str
    login: tuple[str, str]
    environment: dict[str, str]
    clients: dict[int, redis.Redis] = field(default_factory=dict)

    @property
    def shop(self) -> str:
        return self.url.removesuffix("admin/")

    def cache(self, database: int = 0) -> redis.Redis:
        if database not in self.clients:
            self.clients[database] = redis.Redis.from_url(f"{self.environment['REDIS_URL']}?db={database}")
        return self.clients[database]

    def manage(self, *arguments: str) -> str:
        """Runs ``manage.py`` as the hint on standard error says."""
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return ran.stdout

    def end(self, number: signal.Signals) -> int:
        for client in self.clients.values():
            client.close()
        with self.process:
            self.process.send_signal(number)
            return self.process.wait(20)


def start(tmp_path: Path, **environment: str) -> Demo:
    """Starts the demo; raises ``AssertionError`` with its standard error when it ends early."""
    errors = tmp_path / "errors"
    inherited = {
        name: value for name, value in os.environ.items() if name not in {"DJANGO_SETTINGS_MODULE", "REDIS_URL"}
    }
    given = {**inherited, "PORT": "0", "KEYS": str(KEYS), "SHOP_DATABASE": str(tmp_path / "db.sqlite3"), **environment}
    with errors.open("w") as stream:
        command = [sys.executable, str(PROJECT / "demo.py")]
        process = subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=stream, text=True)
    assert process.stdout
    lines = [process.stdout.readline().split(), process.stdout.readline().split()]
    if [line[:1] for line in lines] != [["URL"], ["LOGIN"]]:
        with process:
            process.kill()
        raise AssertionError(errors.read_text())
    hint = dict(re.findall(r"(\w+)='([^']*)'", errors.read_text()))
    return Demo(process, lines[0][1], (lines[1][1], lines[1][2]), {**given, **hint})


def descendants(pid: int) -> set[int]:
    """Ids of all processes below one."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while below := {child for child, parent in parents.items() if parent in found} - found:
        found |= below
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()}


def wait_until_gone(pids: set[int], seconds: float = 10) -> set[int]:
    deadline = time.monotonic() + seconds
    while (left := alive(pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    started = start(tmp_path_factory.mktemp("demo"))
    try:
        yield started
    finally:
        started.end(signal.SIGTERM)


@pytest.fixture
def browser() -> urllib.request.OpenerDirector:
    """Keeps cookies, follows redirects."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))


def read(browser: urllib.request.OpenerDirector, url: str, form: dict[str, str] | None = None) -> str:
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    with browser.open(urllib.request.Request(url, data, {"Referer": url}), timeout=20) as response:
        return response.read().decode()


def token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    return found[1]


def sign_in(browser: urllib.request.OpenerDirector, demo: Demo, name: str, password: str) -> str:
    url = f"{demo.url}login/?next=/admin/"
    form = {"username": name, "password": password, "next": "/admin/"}
    return read(browser, url, {**form, "csrfmiddlewaretoken": token(read(browser, url))})


def test_the_printed_login_opens_the_admin(demo: Demo, browser: urllib.request.OpenerDirector) -> None:
    page = sign_in(browser, demo, *demo.login)
    assert "Site administration" in page
    assert "/admin/shop/product/" in page
    assert "/admin/cache_admin/cache/" in page


@pytest.mark.parametrize("name", ["support", "viewer"])
def test_the_other_staff_see_the_caches_and_no_shop(
    demo: Demo, browser: urllib.request.OpenerDirector, name: str
) -> None:
    page = sign_in(browser, demo, name, name)
    assert "/admin/cache_admin/cache/" in page
    assert "/admin/shop/product/" not in page


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "Best sellers"),
        ("categories/", "Bicycles"),
        ("categories/books/?sort=price", "Next page"),
        ("products/12/", "Put into the cart"),
        ("search/?q=blue", "Search: blue"),
        ("cart/", "Nothing here yet."),
        ("terms/", "Valid since 1 October 2026."),
        ("catalogue.csv", "id,category,name,price,description"),
        ("static/shop/shop.css", "color-scheme"),
        ("static/cache_admin/vendor/chart.umd.min.js", "Chart"),
    ],
)
def test_every_page_of_the_shop_renders(
    demo: Demo, browser: urllib.request.OpenerDirector, path: str, words: str
) -> None:
    assert words in read(browser, demo.shop + path)


def test_a_customer_fills_a_cart_and_orders(demo: Demo, browser: urllib.request.OpenerDirector) -> None:
    sign_in(browser, demo, *demo.login)
    product = demo.shop + "products/12/"
    cart = read(browser, demo.shop + "cart/add/12/", {"csrfmiddlewaretoken": token(read(browser, product))})
    assert "1 \N{MULTIPLICATION SIGN} " in cart
    orders = read(browser, demo.shop + "cart/checkout/", {"csrfmiddlewaretoken": token(cart)})
    assert "1 order, 1 item" in orders
    assert demo.cache().exists("shop:1:user:1:dashboard_stats")


def test_pages_fragments_values_sessions_and_counters_are_cached(
    demo: Demo, browser: urllib.request.OpenerDirector
) -> None:
    for path in ("", "categories/books/", "products/12/", "search/?q=tea"):
        read(browser, demo.shop + path)
    names = [key.decode() for key in demo.cache().scan_iter(count=1000)]
    expected = (
        "shop:1:product:12$", "shop:1:product:12:reviews$", "shop:1:views:product:12$",
        r"shop:1:category:\d+:products$", r"shop:1:product:\d+:card$", r"shop:1:popular_products:category_id:\d+$",
        "shop:1:navigation:shop.category:rows:", "shop:1:newest:shop.product:rows:",
        "shop:1:include:product_facts:", "shop:1:value:also_bought:en-us:12$", "shop:1:cache_tag:product:12$",
        r"shop:1:v2:product_list:category_id:\d+:page:1:sort:name$", "shop:1:search:[0-9a-f]{32}$",
        "shop:1:template.cache.product_card.[0-9a-f]{32}$", "shop:1:template.cache.product_reviews.[0-9a-f]{32}$",
        "shop:1:throttle_search_127.0.0.1$", r"shop:1:user:\d+:dashboard_stats$", r"shop:1:recommendations:user:\d+$",
        r"shop:1:statistics:daily:\d{4}-\d\d-\d\d$", r"shop:1:statistics:lifetime_value:auth\.user\(\d+\)$",
        "shop:1:lock:nightly_report$", "shop:1:report:sales:2026-10:pdf$",
        "sessions:1:django.contrib.sessions.cached_db", r"long_term:1:catalogue:product:\d+$",
        "celery$", "celery-task-meta-",
        r"shop:0:product:\d+:card$",
    )  # fmt: skip
    assert [name for name in expected if not any(re.match(name, key) for key in names)] == []
    pages = [key.decode() for key in demo.cache(1).scan_iter()]
    assert "pages:1:catalogue:csv" in pages
    for prefix in ("home", "product_list", r"user:\d+"):
        assert any(re.match(rf"pages:1:views.decorators.cache.cache_page.{prefix}.GET", key) for key in pages)
    assert len(names) >= KEYS


def test_some_entries_never_expire_and_some_are_large(demo: Demo) -> None:
    cache = demo.cache()
    assert cache.ttl(next(cache.scan_iter("shop:1:recommendations:user:*"))) == -1
    assert cache.ttl("shop:1:export:catalogue:csv") > 0
    assert cache.strlen("shop:1:report:sales:2026-10:pdf") > 2_000_000
    assert cache.strlen("long_term:1:export:partner_feed") > 300_000


def test_new_prices_are_stale_until_the_cache_is_flushed(demo: Demo, browser: urllib.request.OpenerDirector) -> None:
    page = demo.shop + "categories/tea/?sort=newest"
    number = max(map(int, re.findall(r"/products/(\d+)/", read(browser, page))))
    key = f"shop:1:product:{number}"
    product = f"{demo.shop}products/{number}/"
    read(browser, product)
    before = demo.cache().get(key)
    demo.manage("shop_reprice", "50")
    read(browser, product)
    assert demo.cache().get(key) == before
    demo.cache().delete(key)
    read(browser, product)
    assert demo.cache().get(key) != before


def test_visitors_keep_coming(demo: Demo) -> None:
    def look_ups() -> int:
        stats = demo.cache().info("stats")
        return int(stats["keyspace_hits"]) + int(stats["keyspace_misses"])

    before, deadline = look_ups(), time.monotonic() + 20
    while look_ups() == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_deploy_starts_the_shop_anew_and_is_marked(tmp_path: Path) -> None:
    demo = start(tmp_path, KEYS="100")

    def marked(*labels: str) -> bool:
        code = "from cache_admin.monitoring import deploys; print(*(one[0] for one in deploys.since(0)))"
        deadline = time.monotonic() + 60
        while (found := demo.manage("shell", "--verbosity=0", "-c", code).split()) != [*labels]:
            if time.monotonic() > deadline:
                raise AssertionError(found)
            time.sleep(0.3)
        return True

    try:
        assert marked("2026.11.1")
        assert "2026.11.2 is out" in demo.manage("shop_deploy")
        for number in range(1, 6):  # nobody is turned away meanwhile
            with urllib.request.urlopen(f"{demo.shop}products/{number}/", timeout=30) as response:
                assert response.status == 200
        assert marked("2026.11.1", "2026.11.2")
        demo.manage("shop_deploy")
        assert marked("2026.11.1", "2026.11.2", "2026.11.3")
    finally:
        demo.end(signal.SIGTERM)


def test_many_requests_at_once_are_answered(demo: Demo) -> None:
    def fetch(number: int) -> int:
        with urllib.request.urlopen(f"{demo.shop}products/{number}/", timeout=30) as response:
            return response.status

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(fetch, range(1, 41))) == {200}


def test_loading_again_changes_nothing(demo: Demo) -> None:
    counting = (
        "from shop.models import *; print(Product.objects.count(), Category.objects.count(), Review.objects.count())"
    )
    before = demo.manage("shell", "--verbosity=0", "-c", counting)
    demo.manage("shop_load")
    assert demo.manage("shell", "--verbosity=0", "-c", counting) == before


def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=rf"Port {port} cannot be used .*PORT="):
            start(tmp_path, PORT=str(port))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_nothing_is_left_when_it_ends_and_it_starts_again_on_its_port(tmp_path: Path) -> None:
    demo = start(tmp_path)
    port = str(urllib.parse.urlsplit(demo.url).port)
    below = descendants(demo.process.pid)
    assert len(below) == 4, "the cache server, its watch, the web server, and the visitors"
    demo.end(signal.SIGKILL)
    assert wait_until_gone(below) == set()

    again = start(tmp_path, PORT=port)
    below = descendants(again.process.pid)
    assert again.end(signal.SIGINT) == 0
    assert wait_until_gone(below, 2) == set()
    assert not Path(urllib.parse.urlsplit(again.environment["REDIS_URL"]).path).exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    output = tmp_path / "output"
    environment = {**os.environ, "PORT": "0", "KEYS": "100", "SHOP_DATABASE": str(tmp_path / "db.sqlite3")}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    with output.open("w") as stream:
        script = f'"{sys.executable}" "{PROJECT / "demo.py"}"; true'
        parent = subprocess.Popen(["sh", "-c", script], env=environment, stdout=stream, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while "LOGIN" not in output.read_text() and parent.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    below = descendants(parent.pid)
    parent.kill()
    parent.wait()
    assert len(below) == 5
    assert wait_until_gone(below) == set()


def test_a_server_of_ones_own_is_used_and_left_alone(tmp_path: Path, raw: redis.Redis, server) -> None:
    raw.set("mine", 1)
    demo = start(tmp_path, REDIS_URL=server.url)
    try:
        assert demo.environment["REDIS_URL"] == server.url
        assert raw.exists("shop:1:lock:nightly_report")
    finally:
        demo.end(signal.SIGINT)
    assert raw.get("mine") == b"1"
    assert server.process.poll() is None

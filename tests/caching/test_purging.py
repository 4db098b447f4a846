"""Purges against a tiny proxy on the loopback that remembers what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cache_admin.caching import purging
from cache_admin.caching.invalidation import cache_invalidator, figures
from cache_admin.caching.purging import HttpPurger, purge, purgers, wait
from tests.shop_models.models import Product


class Proxy(ThreadingHTTPServer):
    """``answers`` are the status codes of the next requests; then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str, str]] = []
        self.answers: list[int] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_PURGE(self) -> None:
        keys = self.headers.get("Surrogate-Key", "")
        self.server.asked.append((self.command, self.headers["Host"], self.path, keys))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_BAN = do_PURGE  # noqa: N815

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(purging, "ATTEMPTS", (0.0, 0.02, 0.02))
    purging._figures.clear()
    yield
    assert wait(5)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def front(proxy: Proxy) -> Iterator[HttpPurger]:
    made = HttpPurger(proxy.base, ("shop.example", "www.shop.example"), tag_header="Surrogate-Key", tag_method="BAN")
    with purgers.temporarily("front", made):
        yield made
        wait(5)


def test_paths_are_purged_for_each_host_and_tags_at_once(proxy, front):
    assert purge(["/product/5/?page=2", "/product/5/?page=2"], ["product:5", "shop"]) == 1
    assert wait()
    assert proxy.asked == [
        ("PURGE", "shop.example", "/product/5/?page=2", ""),
        ("PURGE", "www.shop.example", "/product/5/?page=2", ""),
        ("BAN", "shop.example", "/", "product:5 shop"),
    ]
    assert purging.figures("front").purged == 3


def test_an_absolute_url_of_another_host_is_not_sent_anywhere(proxy, front):
    purge(["https://elsewhere.example/secret/", "https://shop.example/café/"])
    assert wait()
    assert proxy.asked == [("PURGE", "shop.example", "/caf%C3%A9/", "")]


def test_nothing_is_contacted_without_a_registered_proxy(proxy):
    assert purge(["/a/"], ["b"]) == 0
    assert proxy.asked == []


def test_nothing_there_is_no_failure(proxy, front):
    proxy.answers = [404, 404]
    purge(["/a/"])
    assert wait()
    assert (purging.figures("front").purged, purging.figures("front").failed) == (1, 0)


def test_a_failed_purge_is_tried_again(proxy, front):
    proxy.answers = [503]
    purge(["http://shop.example/a/"])
    assert wait()
    told = purging.figures("front")
    assert (len(proxy.asked), told.purged, told.retried, told.failed) == (2, 1, 1, 0)
    assert "503" in told.last_error


def test_a_purge_that_keeps_failing_is_given_up_and_reported(proxy, front, caplog):
    proxy.answers = [500] * 3
    purge(["http://shop.example/a/"])
    assert wait()
    told = purging.figures("front")
    assert (told.purged, told.retried, told.failed) == (0, 2, 1)
    assert "failed for good" in caplog.text


def test_a_silent_host_does_not_hold_up_others(proxy, front, monkeypatch):
    monkeypatch.setattr(purging, "ATTEMPTS", (0.0, 0.3, 0.3))
    down = HttpPurger("http://127.0.0.1:9", ("shop.example",))
    with purgers.temporarily("down", down):
        began = time.monotonic()
        assert purge(["http://shop.example/a/"]) == 2
        while not proxy.asked and time.monotonic() - began < 2:
            time.sleep(0.005)
        assert time.monotonic() - began < 0.3
        assert wait(5)
    assert purging.figures("down").failed == 1


@pytest.mark.django_db(transaction=True)
def test_a_rule_purges_its_urls_and_tags_after_the_commit(proxy, front, cache):
    rule = cache_invalidator.register_invalidation_rule(Product, urls=["http://shop.example/p/{pk}/"], tags=["p:{pk}"])
    try:
        proxy.answers = [500] * 6
        began = time.monotonic()
        product = Product.objects.create(name="a")
        assert time.monotonic() - began < 1
        assert wait()
        assert Product.objects.filter(pk=product.pk).exists()
        proxy.answers, proxy.asked = [], []
        product.save()
        assert wait()
    finally:
        cache_invalidator.unregister(rule)
    assert proxy.asked == [
        ("PURGE", "shop.example", f"/p/{product.pk}/", ""),
        ("BAN", "shop.example", "/", f"p:{product.pk}"),
    ]
    assert figures(rule).failed == 0


def test_a_full_line_drops_and_says_so(monkeypatch, front, caplog):
    monkeypatch.setattr(purging, "_MOST_WAITING", 0)
    assert purge(["/a/"]) == 0
    assert purging.figures("front").failed == 1
    assert "too many" in caplog.text


@pytest.mark.parametrize(
    ("base", "hosts"),
    [("ftp://x", ("a",)), ("http://", ("a",)), ("http://user:pw@x", ("a",)), ("http://x", ())],
)
def test_an_address_that_cannot_be_right_is_refused(base: str, hosts: tuple[str, ...]):
    with pytest.raises(ValueError, match=r"^(base|hosts) "):
        HttpPurger(base, hosts)

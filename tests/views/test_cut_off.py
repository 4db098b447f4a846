"""Operations that something cuts off or outruns, as their pages tell it: what was done, what not, and how to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.test import Client
from embedded import Server

from cache_admin.adapters import servers
from cache_admin.adapters.redis import RedisAdapter
from cache_admin.models import Operation
from cache_admin.operations import driving
from tests.views import faults
from tests.views.conftest import key_url, text, url
from tests.views.test_faults import default_at, words

pytestmark = pytest.mark.servers
HTMX = {"HX-Request": "true"}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, redis.Redis]]:
    """A server of 10 000 keys behind ``default``; every step is saved."""
    monkeypatch.setattr(driving, "TICK", 0.0)
    with faults.filled(keys=10_000) as (server, other), default_at(server.url):
        yield server, other


def at_call(monkeypatch: pytest.MonkeyPatch, method: str, number: int, act: Callable[[], object]) -> None:
    """Lets something happen before a call of the adapter, once."""
    original, calls = getattr(RedisAdapter, method), []

    def watched(self: RedisAdapter, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == number:
            act()
        return original(self, *args, **options)

    monkeypatch.setattr(RedisAdapter, method, watched)


def purge(client: Client, **wish: str) -> str:
    """From the form to the page of the operation."""
    asked = {"kind": "glob", "target": "product:*", **wish}
    token = client.post(url("invalidate_confirm", "default"), asked).context["token"]
    confirmed = {**asked, "token": token, "typed": "default"}
    done = client.post(url("invalidate_confirm", "default"), confirmed, follow=True)
    return words(text(done))


def again(server: Server) -> None:
    server.socket.unlink(missing_ok=True)
    server.start()
    servers.forget()


def test_a_scan_whose_server_is_killed_keeps_what_it_saw_and_begins_again(
    client: Client, shop: tuple[Server, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = shop
    saved, killed = driving.Driver._save, []

    def kill(self: driving.Driver) -> None:
        if self.operation.scanned >= 4_000 and not killed:
            killed.append(server.kill())
        saved(self)

    monkeypatch.setattr(driving.Driver, "_save", kill)
    page = words(text(client.post(url("census_start", "default"), follow=True)))
    operation = Operation.objects.get()
    assert "Interrupted" in page
    assert "refused connection" in page or "closed the connection" in page
    assert "Resume where it stopped" in page
    assert f"{operation.scanned:,} of 10,000 keys" in page
    assert 4_000 <= operation.scanned < 10_000
    again(server)
    other.mset({f"shop:1:product:{number}": b"v" for number in range(2_000)})
    page = words(text(client.post(url("operation_resume", operation.pk), headers=HTMX)))
    assert "Looked at 2,000 keys" in page
    assert "Complete scan of 2,000 keys" in words(text(client.get(url("patterns", "default"))))


def test_a_purge_whose_server_is_killed_tells_exactly_what_went(
    client: Client, shop: tuple[Server, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = shop
    left: list[int] = []

    def kill() -> None:
        left.append(other.dbsize())
        server.kill()

    at_call(monkeypatch, "delete", 4, kill)
    page = purge(client, reason="wrong prices")
    gone = 10_000 - left[0]
    assert 0 < gone < 10_000
    assert f"{gone:,} keys deleted" in page
    assert "of 10,000 keys planned" in page
    assert "Interrupted" in page
    row = words(text(client.get(url("operations"))))
    assert "wrong prices" in row
    assert f"{gone:,}" in row


def test_a_writer_that_is_faster_than_the_purge_is_told_of(
    client: Client, shop: tuple[Server, redis.Redis], settings: Any
) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "GENTLE_SHARE": 1}
    _server, other = shop
    other.delete(*[f"shop:1:product:{number}" for number in range(500, 10_000)])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            other.mset({f"shop:1:product:new:{number}:{i}": b"v" for i in range(2_000)})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        page = purge(client)
    finally:
        stop.set()
        thread.join()
    assert "far more than the" in page
    assert "something keeps adding matching keys" in page
    assert "Resume where it stopped" in page


def test_a_key_that_changes_between_the_list_and_its_page(client: Client, cache: Any, raw: redis.Redis) -> None:
    """Somebody else deletes, retypes and expires a key while one looks at it, over and over."""
    stop, path = threading.Event(), key_url(b"shop:1:product:1")
    other = redis.Redis(connection_pool=raw.connection_pool)

    def change() -> None:
        acts: list[Callable[[], object]] = [
            lambda: other.delete("shop:1:product:1"),
            lambda: other.set("shop:1:product:1", b"v" * 100, px=5),
            lambda: (other.delete("shop:1:product:1"), other.rpush("shop:1:product:1", *range(50))),
            lambda: (other.delete("shop:1:product:1"), other.hset("shop:1:product:1", "f", "v")),
            lambda: cache.set("product:1", {"price": 1}),
        ]
        while not stop.is_set():
            for act in acts:
                act()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(60):
            assert client.get(path).status_code == 200
            assert client.get(url("keys", "default"), {"q": "product"}).status_code == 200
            if not number % 10:
                for verb in ("expire", "delete"):
                    change_url = key_url(b"shop:1:product:1", name="key_change")
                    done = client.post(change_url, {"verb": verb, "seconds": "60"}, follow=True)
                    assert done.status_code == 200
    finally:
        stop.set()
        thread.join()
        caches["default"].close()
    raw.delete("shop:1:product:1")
    assert "This key is gone" in text(client.get(path))
    assert set(Operation.objects.values_list("state", flat=True)) == {"done"}


def test_a_permission_taken_away_in_the_middle_stops_a_purge_and_is_written_down(
    client: Client, shop: tuple[Server, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = client.user  # type: ignore[attr-defined]
    right = Permission.objects.get(codename="invalidate")
    at_call(monkeypatch, "delete", 3, lambda: user.user_permissions.remove(right))
    page = purge(client)
    assert "Refused" in page
    assert "keys deleted" in page
    assert 0 < shop[1].dbsize() < 10_000
    assert Operation.objects.get().state == "refused"
    assert Operation.objects.get().done_keys == 10_000 - shop[1].dbsize()


@pytest.mark.django_db(transaction=True)
def test_no_request_lasts_a_second_while_a_long_purge_runs(client: Client, raw: redis.Redis, settings: Any) -> None:
    """So no worker is ever killed for a request of these pages, whatever its time-out."""
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RUNNER": "thread"}
    for start in range(0, 200_000, 10_000):
        raw.mset({f"shop:1:product:{number}": b"v" * 50 for number in range(start, start + 10_000)})
    asked = {"kind": "glob", "target": "product:*"}
    token = client.post(url("invalidate_confirm", "default"), asked).context["token"]
    began = time.monotonic()
    confirmed = client.post(url("invalidate_confirm", "default"), {**asked, "token": token, "typed": "default"})
    lasted, seen = [time.monotonic() - began], []
    while not seen or Operation.State.RUNNING in seen[-1:]:
        began = time.monotonic()
        client.post(confirmed.url.rstrip("/") + "/progress/", headers=HTMX)  # type: ignore[attr-defined]
        lasted.append(time.monotonic() - began)
        seen.append(Operation.objects.get().state)
        time.sleep(0.2)
    for thread in threading.enumerate():
        if thread.name == "cache-admin-purge":
            thread.join(10)
    assert Operation.objects.get().done_keys == 200_000
    assert len(lasted) > 3, "it took a while"
    assert max(lasted) < 1

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.db import connection
from django.test import Client

from cache_admin import keys
from cache_admin.adapters import adapter
from cache_admin.caching import CacheWarmer, cache_result, queries, statistic, warmer
from cache_admin.caching.warmers import warmers
from cache_admin.operations import recompute
from tests.shop_models.models import Book, Product
from tests.views.conftest import SignIn, text, url

PRICES = {"tea": Decimal("9.90")}
CALLS: list[tuple[Any, ...]] = []


@cache_result(300, key="compare:facts:{name}", tags=["price:{name}"])
def facts(name: str) -> dict[str, Any]:
    CALLS.append((name,))
    return {"name": name, "price": PRICES[name], "sizes": {"s", "m", "l"}, "token": "hunter2secret"}


@cache_result(300, key="compare:packed", compress=True)
def packed() -> list[str]:
    return [f"line {i} {PRICES['tea']}" for i in range(200)]


@cache_result(300, key="compare:later")
async def later() -> int:
    await asyncio.sleep(0)
    return int(PRICES["tea"])


@cache_result(300, key="compare:rows")
def rows() -> Any:
    return Product.objects.order_by("pk")


@cache_result(300, key="compare:json", alias="json")
def as_json() -> dict[str, Any]:
    return {"pair": (1, 2), "price": str(PRICES["tea"])}


@statistic(300, key="compare:slow")
def slow() -> int:
    time.sleep(PRICES.get("slow", 0))  # type: ignore[arg-type]
    return 1


@pytest.fixture(autouse=True)
def calm(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in list(recompute._running):
        run.join(5)
    CALLS.clear()
    monkeypatch.setitem(PRICES, "tea", Decimal("9.90"))


def compare(client: Client, key: str, alias: str = "default") -> Any:
    token = keys.token(adapter(alias).codec.raw(key))
    return client.post(url("key_compare", alias, token))


def verdicts(response: Any) -> list[tuple[str, str, str]]:
    lines = response.context["comparison"].difference.lines
    return [(line.verdict, line.label, line.text) for line in lines if line.verdict in {"cached", "fresh"}]


def test_the_owner_and_what_is_stored_beside_the_value_are_on_the_page(client: Client) -> None:
    facts("tea")
    page = text(client.get(url("key", "default", keys.token(b"shop:1:compare:facts:tea"))))
    for fact in (
        "tests.views.test_compare.facts",
        "(function)",
        "Recompute and compare",
        "price:tea",
        "ago",
        "5\xa0min",
    ):
        assert fact in page, fact
    assert "&quot;name&quot;:&quot;tea&quot;" in page


def test_a_fresh_value_is_compared_and_nothing_written(client: Client, raw: redis.Redis) -> None:
    facts("tea")
    before = raw.dump("shop:1:compare:facts:tea"), raw.pttl("shop:1:compare:facts:tea")
    same = compare(client, "compare:facts:tea")
    assert same.context["comparison"].difference.equal
    assert "No difference in what was compared" in text(same)
    PRICES["tea"] = Decimal("12.50")
    differs = compare(client, "compare:facts:tea")
    assert verdicts(differs) == [("cached", "price", "9.90"), ("fresh", "price", "12.50")]
    page = text(differs)
    for words in (
        "The cached value is stale",
        "cached",
        "fresh",
        "equal",
        "Nothing was written",
        "Computing anew took",
    ):
        assert words in page, words
    assert raw.dump("shop:1:compare:facts:tea") == before[0]
    assert raw.pttl("shop:1:compare:facts:tea") <= before[1]
    assert CALLS == [("tea",)] * 3


def test_what_is_masked_is_not_told(client: Client) -> None:
    facts("tea")
    page = text(compare(client, "compare:facts:tea"))
    assert "hunter2secret" not in page
    assert "masked by rule were not compared" in page


def test_compressed_values_are_compared_inside(client: Client) -> None:
    packed()
    assert compare(client, "compare:packed").context["comparison"].difference.equal
    PRICES["tea"] = Decimal(1)
    assert ("fresh", "0", "line 0 1") in verdicts(compare(client, "compare:packed"))


def test_coroutines_are_awaited(client: Client) -> None:
    asyncio.run(later())
    PRICES["tea"] = Decimal(3)
    assert verdicts(compare(client, "compare:later")) == [("cached", "", "9"), ("fresh", "", "3")]


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_database_are_compared(client: Client) -> None:
    product = Product.objects.create(name="Tea", price=1)
    rows()
    assert compare(client, "compare:rows").context["comparison"].difference.equal
    Product.objects.filter(pk=product.pk).update(name="Coffee")
    assert verdicts(compare(client, "compare:rows")) == [("cached", "name", "Tea"), ("fresh", "name", "Coffee")]


@pytest.mark.django_db(transaction=True)
def test_cached_querysets_are_asked_again(client: Client, raw: redis.Redis) -> None:
    Book.objects.create(title="Tea")
    assert Book.objects.cached(60, key_prefix="compared").count() == 1
    [key] = [key.decode().removeprefix("shop:1:") for key in raw.scan_iter("shop:1:compared:*")]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM shop_models_book")
    before = raw.dump(f"shop:1:{key}")
    assert verdicts(compare(client, key)) == [("cached", "", "1"), ("fresh", "", "0")]
    assert raw.dump(f"shop:1:{key}") == before
    page = text(client.get(url("key", "default", keys.token(f"shop:1:{key}".encode()))))
    assert "shop_models.book (compared)" in page
    queries._asked.clear()
    assert "This worker has not asked this query lately" in text(compare(client, key))


def test_warmers_that_yield_are_asked_again(client: Client, raw: redis.Redis) -> None:
    def pairs() -> Any:
        yield "compare:warm:tea", str(PRICES["tea"])

    warmer("compared", patterns=["compare:warm:*"])(pairs)
    try:
        CacheWarmer.warm("compared")
        PRICES["tea"] = Decimal(3)
        assert verdicts(compare(client, "compare:warm:tea")) == [("cached", "", "9.90"), ("fresh", "", "3")]
        caches["default"].set("compare:warm:coffee", 1)
        assert "The warmer compared no longer makes this key" in text(compare(client, "compare:warm:coffee"))
    finally:
        del warmers._entries["compared"]


def test_the_serializer_of_the_alias_is_used(client: Client) -> None:
    as_json()
    assert compare(client, "compare:json", "json").context["comparison"].difference.equal


def test_a_function_that_fails_is_told_in_words(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    facts("tea")
    del PRICES["tea"]
    response = compare(client, "compare:facts:tea")
    assert response.status_code == 200
    page = text(response)
    assert "tests.views.test_compare.facts failed. KeyError" in page
    assert "Traceback" not in page
    assert "failed: KeyError" in caplog.text


def test_a_function_that_hangs_is_left_alone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    slow()
    monkeypatch.setitem(PRICES, "slow", 0.5)
    monkeypatch.setattr(recompute, "LONGEST", 0.05)
    assert "has not answered within" in text(compare(client, "compare:slow"))


def test_it_is_computed_once_at_a_time_however_often_one_clicks(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(), facts("tea")
    monkeypatch.setitem(PRICES, "slow", 1)
    monkeypatch.setattr(recompute, "LONGEST", 0.05)
    assert "has not answered within" in text(compare(client, "compare:slow"))
    assert "is being computed already" in text(compare(client, "compare:slow"))
    monkeypatch.setattr(recompute, "LONGEST", 10)
    assert compare(client, "compare:facts:tea").context["comparison"].difference.equal
    monkeypatch.setattr(recompute, "MOST_AT_ONCE", 1)
    assert "1 values are being computed" in text(compare(client, "compare:facts:tea"))
    for run in list(recompute._running):
        run.join(5)
    assert "comparison" in compare(client, "compare:facts:tea").context


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_function_that_ends_its_thread_is_no_stale_value(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    facts("tea"), asyncio.run(later())

    class Leaving(dict):
        def __getitem__(self, name: str) -> object:
            raise SystemExit(1)

    class Cancelling(dict):
        def __getitem__(self, name: str) -> object:
            raise asyncio.CancelledError

    for prices, key in ((Leaving(), "compare:facts:tea"), (Cancelling(), "compare:later")):
        monkeypatch.setattr(sys.modules[__name__], "PRICES", prices)
        page = text(compare(client, key))
        assert "ended without a value" in page, key
        assert "stale" not in page


def test_arguments_of_another_key_are_not_called_with(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the cache must not choose what a function of the site is called with."""
    facts("tea")
    monkeypatch.setitem(PRICES, "coffee", Decimal(1))
    stored = list(caches["default"].get("compare:facts:tea"))
    for call in ('{"name":"coffee"}', '{"name":{"list":[1]}}', '{"other":"tea"}', '{"name":{"class":"auth.user"}}'):
        caches["default"].set("compare:facts:tea", (*stored[:5], call, stored[6]))
        assert "make another key" in text(compare(client, "compare:facts:tea")), call
    assert CALLS == [("tea",)]


def test_no_key_changes_whatever_comes_out(client: Client, raw: redis.Redis) -> None:
    facts("tea"), packed(), asyncio.run(later())
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    for price in (Decimal("9.90"), Decimal(2), None):
        PRICES["tea"] = price  # type: ignore[assignment]
        for key in ("compare:facts:tea", "compare:packed", "compare:later"):
            assert compare(client, key).status_code == 200
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (lambda: caches["default"].set("nobodys", 1), "Nothing that can be called again"),
        (
            lambda: caches["default"].set("compare:facts:tea", {"bare": 1}),
            "arguments that this value was computed from",
        ),
        (lambda: None, "This key is gone"),
    ],
    ids=["of nobody", "stored by hand", "gone"],
)
def test_what_cannot_be_computed_anew_is_said(client: Client, store: Callable[[], object], said: str) -> None:
    store()
    page = text(compare(client, "nobodys" if caches["default"].get("nobodys") else "compare:facts:tea"))
    assert said in page
    assert CALLS == []


def test_it_needs_its_own_permission_and_that_of_values(sign_in: SignIn) -> None:
    facts("tea")
    for number, held in enumerate((("view_cache", "view_values"), ("view_cache", "recompute"))):
        viewer = sign_in(*held, name=f"viewer{number}")
        assert compare(viewer, "compare:facts:tea").status_code == 403
        page = text(viewer.get(url("key", "default", keys.token(b"shop:1:compare:facts:tea"))))
        lacking = {"recompute", "view_values"} - set(held)
        assert f"This needs the permission cache_admin.{lacking.pop()}" in page
    assert len(CALLS) == 1


@pytest.mark.parametrize(
    "stored",
    [
        ("cache_admin:1",),
        ("cache_admin:1", 1e300, float("inf"), float("nan"), {"a": 1}, "x" * 3000, 1),
        ("cache_admin:1", "x", True, None, 5, 7, "<script>alert(1)</script>"),
        ["cache_admin:1", -1, 10**400, 1, {1: 2}, "{", {}],
    ],
)
def test_a_forged_envelope_is_only_shown(client: Client, stored: Any) -> None:
    caches["default"].set("compare:facts:tea", stored)
    page = client.get(url("key", "default", keys.token(b"shop:1:compare:facts:tea")))
    assert page.status_code == 200
    assert "<script>alert" not in text(page)
    assert compare(client, "compare:facts:tea").status_code == 200
    assert CALLS == []

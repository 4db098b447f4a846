"""Keys of no current version or prefix, of no known writer, and without expiry; what is somebody's stays out of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from django.core.cache import caches

from cache_admin.adapters import adapter
from cache_admin.caching import owners
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.keyspace import leftovers
from cache_admin.keyspace.census import Census
from cache_admin.keyspace.leftovers import Leftovers
from tests.shop_models.models import Product


def found() -> Leftovers:
    census = Census(adapter("default"))
    for page in adapter("default").walk(census.choose):
        census.feed(page)
    return leftovers.of(census.report(), adapter("default").codec)


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A function that fills ``price:*``, and a rule that drops ``product:{pk}``."""
    monkeypatch.setattr(owners, "_owners", {})
    owners.register(owners.Owner("shop.prices", "function", "default", ("price:*",)))
    owners.register(owners.Owner("shop.elsewhere", "function", "core", ("stock:*",)))
    rule = cache_invalidator.register_invalidation_rule(Product, keys=["product:{pk}"], patterns=["list:*:{pk}"])
    yield
    cache_invalidator.unregister(rule)


def test_keys_of_others_are_told_apart(raw: redis.Redis) -> None:
    raw.mset({f"shop:2:product:{i}": "x" for i in range(12)})
    raw.mset({f"shop:0:page:{i}": "x" for i in range(3)})
    raw.mset({"long:1:a": "x", "long:7:a": "x", "nobody:1:thing": "x", "rq:job:1": "x"})
    raw.rpush("celery", "job")
    left = found()
    assert [(one.owner, one.alias, one.version, one.keys.value) for one in left.versions] == [
        ("version 2 of this alias", "default", 2, 12),
        ("version 0 of this alias", "default", 0, 3),
        ("version 7 of alias json", "json", 7, 1),
    ]
    assert [(one.owner, one.keys.value) for one in left.unknown] == [("unknown", 1)]
    assert {one.owner for one in left.named} == {"alias json", "RQ", "Celery"}
    assert all(one.keys.exact for one in left.versions)


def test_patterns_of_a_known_writer_are_not_among_the_nameless(raw: redis.Redis, owned: None) -> None:
    keys = [f"{name}:{i}" for name in ("price", "stock", "product", "list:a", "mystery") for i in (5, 17)]
    raw.mset({f"shop:1:{key}": "x" for key in keys})
    raw.set("shop:1:template.cache.side." + "0" * 32, "x")
    raw.set("shop:1:cache_tag:product:5", "x")
    raw.mset({f"shop:1:{part}:en:1": "x" for part in ("include:card", "include_utc:card", "user:5:include:card")})
    assert {stats.pattern for stats in found().nobody} == {"stock:*", "mystery:*"}


def test_what_never_expires_comes_by_its_bytes(raw: redis.Redis) -> None:
    cache = caches["default"]
    cache.set_many({f"short:{i}": i for i in range(20)}, 60)
    cache.set_many({f"half:{i}": i for i in range(10)}, None)
    cache.set_many({f"half:{i}": i for i in range(10, 20)}, 60)
    cache.set("huge", "ab" * 50_000, None)
    raw.set("shop:1:bulk", "x" * 100_000)
    endless = found().endless
    first = endless[0]
    assert first.stats.pattern == "bulk"
    assert {one.stats.pattern for one in endless} == {"bulk", "half:*", "huge"}
    assert [one.size.value for one in endless] == sorted((one.size.value for one in endless), reverse=True)
    assert (first.keys.value, first.size.value) == (1, raw.memory_usage("shop:1:bulk"))
    half = next(one for one in endless if one.stats.pattern == "half:*")
    assert (half.keys.value, half.keys.exact, half.stats.no_expiry.value) == (10, True, 0.5)


def test_an_empty_database_leaves_nothing(raw: redis.Redis) -> None:
    assert found() == Leftovers((), (), (), (), ())

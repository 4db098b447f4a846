"""Figures for scripts: those of the dashboard, and words for what a cache does not tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings

from cache_admin.adapters import servers
from cache_admin.exceptions import InvalidPattern, UnknownAlias, Unsupported
from cache_admin.keyspace import reports
from cache_admin.keyspace.stats import CacheStats
from cache_admin.monitoring import sampler

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered(raw: redis.Redis) -> Iterator[None]:
    for forget in (reports.forget, sampler.forget, servers.forget):
        forget()
    raw.config_resetstat()
    yield
    for forget in (reports.forget, sampler.forget, servers.forget):
        forget()


@pytest.fixture
def commands(raw: redis.Redis) -> Any:
    """The names of the commands that the server ran since the last reset."""

    def ran() -> set[str]:
        return {name.removeprefix("cmdstat_").partition("|")[0] for name in raw.info("commandstats")}

    return ran


def hashed(key: str, prefix: str, version: int) -> str:
    return f"{hash(key):x}"


@pytest.mark.parametrize("alias", ["default", "core", "json"])
def test_the_figures_of_a_server_and_of_what_fills_it(alias: str, raw: redis.Redis, commands: Any) -> None:
    caches[alias].set_many({f"product:{i}": "x" for i in range(30)}, 60)
    for i in range(40):
        caches[alias].get(f"product:{i}")
    info = CacheStats.get_cache_info(alias)
    assert info.alias == alias
    assert info.label.startswith("Redis")
    assert info.keys
    assert (info.keys.value, info.keys.exact) == (30, True)
    assert info.size
    assert info.size.value > 30 * 50
    assert (info.hits, info.misses, info.hit_rate) == (30, 10, 0.75)
    assert info.servers[0].memory
    assert info.report
    assert [stats.pattern for stats in info.report.patterns] == ["product:*"]
    assert info.unknown == ()
    assert "keys" not in commands()


def test_a_server_that_was_never_asked_has_no_hit_rate() -> None:
    info = CacheStats.get_cache_info()
    assert (info.hits, info.misses, info.hit_rate) == (0, 0, None)


@pytest.mark.parametrize("alias", ["locmem", "dummy"])
def test_what_a_cache_cannot_tell_is_said(alias: str) -> None:
    info = CacheStats.get_cache_info(alias)
    assert (info.servers, info.keys, info.size, info.hits, info.hit_rate) == ((), None, None, None, None)
    assert any("cannot list its keys" in sentence for sentence in info.unknown)
    assert any("server" in sentence for sentence in info.unknown)
    found = CacheStats.analyze_cache_keys(alias, "product:*")
    assert (found.keys, found.size, found.report) == (None, None, None)
    assert len(found.unknown) == 1


def test_a_silent_server_is_said() -> None:
    down = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "unix:///nowhere.sock"}
    with override_settings(CACHES={**settings.CACHES, "down": down}):
        info = CacheStats.get_cache_info("down")
        found = CacheStats.analyze_cache_keys("down")
    assert info.keys is None
    assert info.hit_rate is None
    assert info.unknown
    assert found.unknown
    assert "nowhere.sock" not in "".join(info.unknown)


def test_an_unknown_alias_is_an_error() -> None:
    with pytest.raises(UnknownAlias):
        CacheStats.get_cache_info("nobody")
    with pytest.raises(UnknownAlias):
        CacheStats.analyze_cache_keys("nobody")


def test_a_backend_that_cannot_be_loaded_is_an_error() -> None:
    with (
        override_settings(CACHES={**settings.CACHES, "broken": {"BACKEND": "no.such.Cache"}}),
        pytest.raises(Unsupported),
    ):
        CacheStats.get_cache_info("broken")


def test_the_keys_of_a_pattern_alone(raw: redis.Redis, commands: Any) -> None:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(25)})
    raw.mset({f"shop:1:product:{i}:reviews": "x" * 1000 for i in range(5)})
    raw.mset({f"shop:1:user:{i}": "x" for i in range(40)})
    raw.mset({f"shop:2:product:{i}": "x" for i in range(40)})
    raw.mset({"other:1:product:1": "x", "shop:1:product": "x"})
    raw.expire("shop:1:product:1", 100)
    found = CacheStats.analyze_cache_keys("default", "product:*")
    assert (found.alias, found.pattern, found.glob) == ("default", "product:*", b"shop:1:product:*")
    assert found.keys
    assert (found.keys.value, found.keys.exact) == (30, True)
    assert found.report
    assert {stats.pattern: stats.keys.value for stats in found.report.patterns} == {
        "product:*": 25,
        "product:*:reviews": 5,
    }
    first = found.report.patterns[0]
    assert (first.pattern, found.report.foreign) == ("product:*:reviews", ())
    assert sum(stats.keys_share.value for stats in found.report.patterns) == pytest.approx(1)
    assert (found.report.complete, found.unknown) == (True, ())
    assert CacheStats.analyze_cache_keys("default", "nothing:*").keys.value == 0  # type: ignore[union-attr]
    assert CacheStats.analyze_cache_keys("default").keys.value == 71  # type: ignore[union-attr]
    assert "keys" not in commands()


def test_out_of_time_the_figures_are_estimates_that_hold(raw: redis.Redis) -> None:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(10_000)} | {f"shop:1:user:{i}": "x" for i in range(30_000)})
    found = CacheStats.analyze_cache_keys("default", "product:*", seconds=0)
    assert found.keys
    assert not found.keys.exact
    # Twice as wide on both sides, so that chance does not fail the test.
    width = found.keys.high - found.keys.low
    assert found.keys.low - width <= 10_000 <= found.keys.high + width
    assert found.report
    assert (found.report.complete, found.report.total, found.report.scanned) == (False, 40_000, 1000)
    whole = CacheStats.analyze_cache_keys("default", "product:*", seconds=math.inf)
    assert whole.report
    assert whole.keys
    assert (whole.keys.value, whole.keys.exact, whole.report.complete) == (10_000, True, True)


def test_a_glob_means_what_it_means_to_the_server(raw: redis.Redis) -> None:
    raw.mset({f"shop:1:{name}": "x" for name in ("a", "b", "c", "ab", "*")})
    values = {
        glob: CacheStats.analyze_cache_keys("default", glob).keys.value  # type: ignore[union-attr]
        for glob in ("[ab]", "?", "a*", "\\*")
    }
    assert values == {"[ab]": 2, "?": 4, "a*": 2, "\\*": 1}
    with pytest.raises(InvalidPattern):
        CacheStats.analyze_cache_keys("default", "")


def test_keys_of_a_one_way_key_function_cannot_be_matched() -> None:
    one_way = {**settings.CACHES["core"], "KEY_FUNCTION": f"{__name__}.hashed"}
    with override_settings(CACHES={**settings.CACHES, "one_way": one_way}):
        found = CacheStats.analyze_cache_keys("one_way", "product:*")
    assert found.keys is None
    assert "KEY_FUNCTION" in found.unknown[0]

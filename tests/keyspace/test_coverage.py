"""How many keys of a warmer's globs are there."""

from __future__ import annotations

import pytest
import redis
from django.core.cache import caches

from cache_admin import keys
from cache_admin.adapters import adapter
from cache_admin.exceptions import Unsupported
from cache_admin.keyspace import coverage, reports
from cache_admin.keyspace.census import sample
from cache_admin.keyspace.report import Estimate

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def shop(cache) -> None:
    reports.forget()
    cache.set_many({f"product:{i}": i for i in range(40)} | {f"product:{i}:reviews": i for i in range(10)})
    cache.set_many({"home:page": 1, "home:menu": 2, "a*b": 3})


def present(*globs: str, alias: str = "default") -> Estimate:
    return coverage.present(adapter(alias), globs)


def test_keys_that_match_are_counted_once_however_many_globs_match_them() -> None:
    assert present("product:*") == Estimate.of(50)
    assert present("product:*", "product:*:reviews", "prod*") == Estimate.of(50)
    assert present("*:reviews") == Estimate.of(10)
    assert present("nothing:*") == Estimate.of(0)


def test_exact_keys_are_looked_up() -> None:
    assert present("home:page", "home:gone") == Estimate.of(1)
    assert present(r"a\*b") == Estimate.of(1)
    assert present("home:page", "product:*:reviews") == Estimate.of(11)


def test_a_glob_that_cuts_through_a_pattern_is_an_estimate_by_its_examples() -> None:
    (stats,) = (stats for stats in reports.current("default").patterns if stats.pattern == "product:*")
    ends = {raw[-1:].decode() for raw in stats.examples[:1]}
    found = present(f"product:*{ends.pop()}")
    assert not found.exact
    assert found.low <= 4 <= found.high


@pytest.mark.parametrize(
    ("glob", "key"),
    [("a:b", "a:b"), (r"a\*", "a*"), (r"a\\b", "a\\b"), ("a*", None), ("a?", None), ("[ab]", None), (r"\a", "a")],
)
def test_which_globs_are_exact_keys(glob: str, key: str | None) -> None:
    assert coverage.exact_key(glob) == key
    if key is not None:
        assert keys.compile_glob(glob.encode())(key.encode())


def test_where_keys_cannot_be_listed_exact_ones_are_looked_up_all_the_same() -> None:
    caches["locmem"].set("home:page", 1)
    assert present("home:page", alias="locmem") == Estimate.of(1)
    with pytest.raises(Unsupported):
        present("home:*", alias="locmem")


def test_a_sample_that_met_none_says_how_many_there_may_be(raw: redis.Redis) -> None:
    raw.mset({f"shop:1:user:{i}": b"" for i in range(30_000)})
    found = coverage.in_report(sample(adapter("default"), 1), ["rare:*"], adapter("default").codec)
    assert not found.exact
    assert found.value == 0 < found.high


def test_a_report_from_before_is_not_taken_for_now(raw: redis.Redis) -> None:
    before = reports.current("default").started
    raw.flushall()
    assert present("product:*") == Estimate.of(50)
    assert coverage.present(adapter("default"), ["product:*"], after=before + 0.001) == Estimate.of(0)

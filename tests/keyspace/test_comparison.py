"""A cache before and after a deploy: on a real server, with counts as processes write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import override_settings
from embedded import running

from cache_admin.keyspace import reports
from cache_admin.keyspace.compared import Comparison, Row, tally
from cache_admin.keyspace.comparison import compare
from cache_admin.keyspace.contents import take
from cache_admin.keyspace.holdings import dump, load
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import deploys
from cache_admin.monitoring.usage import Counts
from cache_admin.monitoring.usage import dump as dump_counts
from cache_admin.operations import census, deploying, runner
from cache_admin.patterns import ID

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted")]
PRODUCT, CARD = b"product:" + ID, b"product:" + ID + b":card"


@pytest.fixture
def counted(settings: Any) -> Iterator[None]:
    settings.CACHE_ADMIN = {"RUNNER": "inline", "RECORDING": True}
    reports.forget()
    yield
    reports.forget()


def counts(at: float, alias: str = "default", **by_name: Counts) -> None:
    """What a process wrote down at a moment, of patterns like ``name:*``."""
    rows = {name.encode() + b":" + ID: one for name, one in by_name.items()}
    Usage.objects.create(level=60, alias=alias, at=int(at) - int(at) % 60, counts=dump_counts(rows))


def fill(alias: str = "default", seconds: float | None = 3_600, **numbers: int) -> None:
    for name, number in numbers.items():
        caches[alias].set_many({f"{name}:{i}": "x" * 200 for i in range(number)}, seconds)


def marked(ago: float, label: str = "2026.11.2") -> Deploy:
    """A deploy so many seconds ago, that found what is there now."""
    reports.forget()
    deploy = deploying.mark(label)
    deploy.at = time.time() - ago
    deploy.save()
    reports.forget()
    return deploy


def row(found: Comparison, template: bytes) -> Row:
    return next(one for one in found.rows if one.template == template)


def test_each_pattern_is_compared_with_what_it_was(raw: redis.Redis) -> None:
    fill(product=60, search=50, gone=40)
    deploy = marked(600)
    counts(deploy.at - 200, product=Counts(900, 100, 100), search=Counts(10, 90, 90), gone=Counts(100, 40, 40))
    counts(deploy.at + 200, product=Counts(500, 500, 500), search=Counts(12, 88, 88), extra=Counts(9, 60, 60))
    caches["default"].delete_many([f"gone:{i}" for i in range(40)])
    fill(extra=30, search=50, seconds=None)
    found = compare("default", deploy)
    told = {one.pattern: [verdict.text for verdict in one.verdicts] for one in found.rows}
    assert told == {
        "product:*": ["hit rate \u221240 points"],
        "search:*": ["lost its expiry: 50 keys never expire"],
        "extra:*": ["new and never expires"],
        "gone:*": ["vanished"],
    }
    assert [one.pattern for one in found.rows] == ["product:*", "search:*", "extra:*", "gone:*"]
    assert (found.window.limit, found.notes, found.left) == ("now", (), None)
    summary = tally(found.rows)
    assert (summary["worse"], summary["vanished"], summary["new_endless"]) == (2, 1, 1)


def test_the_minute_of_the_deploy_and_the_deploys_beside_it_count_for_neither_side(raw: redis.Redis) -> None:
    older = deploys.mark("one", at=time.time() - 1_300)
    deploy = marked(700, "two")
    for at, number in ((older.at - 90, 7), (deploy.at - 90, 100), (deploy.at, 1_000), (deploy.at + 90, 200)):
        counts(at, product=Counts(hits=number))
    found = compare("default", deploy)
    one = row(found, PRODUCT)
    assert (one.before.counts.hits, one.after.counts.hits) == (100, 200)
    assert found.window.limit == "previous"


def test_a_deploy_is_compared_with_what_the_next_one_found(raw: redis.Redis) -> None:
    fill(product=40)
    first = marked(900, "one")
    fill(product=90)
    marked(300, "two")
    fill(product=400)
    found = compare("default", first)
    assert [figure.value for figure in row(found, PRODUCT).keys] == [40, 90]


@pytest.mark.parametrize("by_new_code", [True, False], ids=["marked by the new code", "marked by the old code"])
@pytest.mark.parametrize("known", [True, False], ids=["a deploy before it", "the first deploy"])
def test_keys_of_the_version_before_are_left_behind(raw: redis.Redis, settings, by_new_code: bool, known: bool) -> None:
    fill(product=300, card=20)
    if known:
        marked(5_000, "one")
    aliases = {**settings.CACHES, "default": {**settings.CACHES["default"], "VERSION": 2}}
    if not by_new_code:
        deploy = marked(600, "two")
    with override_settings(CACHES=aliases):
        if by_new_code:
            deploy = marked(600, "two")
        counts(deploy.at - 200, product=Counts(900, 100, 100), card=Counts(100, 9, 9))
        counts(deploy.at + 200, product=Counts(500, 500, 500), card=Counts(100, 9, 9))
        fill(product=30)
        found = compare("default", deploy)
    assert found.left is not None
    assert (found.left.version, found.left.holding.keys.value) == (1, 320)
    # A smaller number of keys is no verdict, for the new version began empty; a lower hit rate is one.
    assert [verdict.kind for verdict in row(found, PRODUCT).verdicts] == ["hit_rate"]
    assert [figure.value for figure in row(found, PRODUCT).keys] == [300, 30]
    assert tally(found.rows, [found.left])["left"] == 320


def test_a_new_version_is_the_work_of_the_deploy_that_brought_it(raw: redis.Redis, settings) -> None:
    fill(product=300)
    first = marked(900, "one")
    aliases = {**settings.CACHES, "default": {**settings.CACHES["default"], "VERSION": 2}}
    with override_settings(CACHES=aliases):
        second = marked(300, "two")
        fill(product=30)
        before, after = compare("default", first), compare("default", second)
    assert before.left is None
    assert [figure.value for figure in row(before, PRODUCT).keys] == [300, 300]
    assert after.left is not None
    assert after.left.holding.keys.value == 300


def test_a_changed_prefix_leaves_keys_behind_too(raw: redis.Redis, settings) -> None:
    fill(product=50)
    deploy = marked(600)
    aliases = {**settings.CACHES, "default": {**settings.CACHES["default"], "KEY_PREFIX": "new"}}
    with override_settings(CACHES=aliases):
        found = compare("default", deploy)
    assert found.left is not None
    assert (found.left.head, found.left.version, found.left.holding.keys.value) == (b"shop:1:", None, 50)


def test_old_leftovers_are_not_blamed_on_the_deploy(raw: redis.Redis) -> None:
    fill(product=300)
    caches["default"].set_many({f"card:{i}": 1 for i in range(40)}, None, version=0)
    assert compare("default", marked(600)).left is None


def test_a_fresh_scan_is_kept_in_full_and_a_sample_as_an_estimate(raw: redis.Redis) -> None:
    fill(product=300)
    assert load(marked(10).contents["default"]).complete  # type: ignore[union-attr]
    raw.mset({f"shop:1:{name}:{i}": "x" for name in "ab" for i in range(30_000)})
    reports.forget()
    with override_settings(CACHE_ADMIN={"SAMPLE_MILLISECONDS": 10}):
        sampled = take("default")
    assert not sampled.complete
    assert load(dump(sampled)) == load(dump(load(dump(sampled))))  # type: ignore[arg-type]
    loaded = load(dump(sampled))
    assert loaded is not None
    assert not loaded.holdings[b"a:" + ID].keys.exact
    assert loaded.unseen > 1
    runner.run(runner.begin(census.plan("default", fast=True), None)[0])
    assert take("default").complete
    assert load({"head": 1}) is None
    assert load(None) is None


def test_a_silent_server_costs_only_what_it_holds(raw: redis.Redis, settings) -> None:
    with running() as other:
        settings.CACHES = {
            **settings.CACHES,
            "away": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": other.url},
        }
        other.kill()
        fill(product=40)
        deploy = marked(600)
        counts(deploy.at - 200, "away", product=Counts(900, 100))
        counts(deploy.at + 200, "away", product=Counts(500, 500))
        assert load(deploy.contents["default"]).holdings  # type: ignore[union-attr]
        found = compare("away", deploy)
        assert [verdict.kind for verdict in row(found, PRODUCT).verdicts] == ["hit_rate"]
        assert row(found, PRODUCT).keys == (None, None)
        assert len(found.notes) == 2
        assert all("away" in note for note in found.notes)


def test_without_counts_what_is_there_is_still_compared(raw: redis.Redis, settings) -> None:
    settings.CACHE_ADMIN = {"RUNNER": "inline", "RECORDING": False}
    fill(product=40, old=40)
    deploy = marked(600)
    caches["default"].delete_many([f"old:{i}" for i in range(40)])
    found = compare("default", deploy)
    assert {one.pattern: [verdict.kind for verdict in one.verdicts] for one in found.rows} == {
        "old:*": ["vanished"],
        "product:*": [],
    }
    assert "RECORDING" in found.notes[0]


def test_the_verdicts_on_a_deploy_are_kept_when_the_next_one_is_marked(raw: redis.Redis) -> None:
    fill(product=40, old=40)
    first = marked(600, "one")
    caches["default"].delete_many([f"old:{i}" for i in range(40)])
    marked(10, "two")
    first.refresh_from_db()
    assert first.verdicts["vanished"] == 1


def test_what_one_side_tells_apart_joins_what_the_other_folds(raw: redis.Redis) -> None:
    fill(**{f"user:{name}:cart": 1 for name in ("anna", "bob")})
    deploy = marked(600)
    raw.mset({f"shop:1:user:{chr(97 + i // 26)}{chr(97 + i % 26)}x:cart:1": "x" for i in range(400)})
    found = compare("default", deploy)
    assert len(found.rows) == 1
    assert found.rows[0].keys[0].value == 2  # type: ignore[union-attr]

"""A census says what is there: exact where it saw everything, marked with an interval where it did not."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import redis
from django.core.cache import caches
from django.test import override_settings

from cache_admin import folding
from cache_admin.adapters import adapter
from cache_admin.keyspace.census import Census, sample
from cache_admin.keyspace.report import PatternStats, Report
from cache_admin.patterns import matches

SESSION = "django.contrib.sessions.cache%032d"


def census(alias: str = "default") -> Report:
    found = Census(adapter(alias))
    for page in adapter(alias).walk(found.choose):
        found.feed(page)
    return found.report()


def by_pattern(report: Report) -> dict[str, PatternStats]:
    return {stats.pattern: stats for stats in report.patterns}


@pytest.fixture
def shop(raw: redis.Redis) -> redis.Redis:
    """3 000 keys of five patterns, with and without expiry, of several types and sizes."""
    pipe = raw.pipeline(transaction=False)
    for i in range(1000):
        pipe.set(f"shop:1:product:{i}", "x" * (10 + i), ex=3000 if i % 4 else None)
        pipe.set(f"shop:1:product:{i}:reviews", "y" * 50, ex=30)
        pipe.set(f"shop:1:user:u{'abcdefghij'[i % 10]}{'abcdefghij'[i // 10 % 10]}{'abcdefghij'[i // 100]}:cart", "z")
    pipe.set("shop:1:product:list", "all")
    pipe.hset("shop:1:stats", mapping={"a": 1, "b": 2})
    pipe.execute()
    return raw


def test_a_complete_census_equals_an_independent_count(shop: redis.Redis) -> None:
    report = census()
    names = [key.removeprefix(b"shop:1:") for key in shop.scan_iter()]
    assert report.complete
    assert report.scanned == report.total == report.own_keys.value == len(names) == 3002
    assert report.own_size.exact
    assert report.own_size.value == sum(shop.memory_usage(key) for key in shop.scan_iter())
    for stats in report.patterns:
        members = [b"shop:1:" + name for name in names if matches(stats.template, name)]
        sizes = [shop.memory_usage(key) for key in members]
        assert (stats.keys.value, stats.size.value) == (len(members), sum(sizes))
        assert stats.largest == max(sizes) == shop.memory_usage(stats.largest_key)
        assert stats.mean == pytest.approx(sum(sizes) / len(members))
        assert stats.no_expiry.exact
        assert stats.no_expiry.value == sum(shop.ttl(key) == -1 for key in members) / len(members)
        assert sum(stats.ttl_buckets) + stats.no_expiry.value == pytest.approx(1)
        assert Counter(shop.type(key).decode() for key in members) == {
            name: round(part * len(members)) for name, part in stats.types
        }
        assert set(stats.examples) <= set(members)
    assert set(by_pattern(report)) == {"product:*", "product:*:reviews", "user:*:cart", "product:list", "stats"}
    assert by_pattern(report)["product:*:reviews"].ttl_buckets[0] == 1.0
    assert sum(stats.keys_share.value for stats in report.patterns) == pytest.approx(1)
    assert sum(stats.size_share.value for stats in report.patterns) == pytest.approx(1)


def test_the_largest_keys_are_listed_with_type_and_expiry(shop: redis.Redis) -> None:
    report = census()
    sizes = sorted((shop.memory_usage(key) for key in shop.scan_iter()), reverse=True)
    assert [large.size for large in report.large_keys] == sizes[:100]
    for large in report.large_keys:
        assert large.pattern == "product:*"
        assert (large.type, large.expires) == ("string", shop.ttl(large.key) != -1)


def test_keys_of_others_are_shown_apart(raw: redis.Redis) -> None:
    raw.mset(
        {
            "shop:1:a": "1",
            "shop:2:product:7": "1",
            "long:1:report:8": "1",
            "long:3:report:8": "1",
            "celery-task-meta-12345678-1234-1234-1234-123456789abc": "1",
            "celery\x06\x163": "1",
            "rq:job:12345678-1234-1234-1234-123456789abc": "1",
            "asgi::group:chat": "1",
            "other:1:" + SESSION % 5: "1",
            "nobody*s": "1",
        }
    )
    report = census()
    assert report.own_keys.value == 1
    assert report.scanned == 10
    assert {(stats.pattern, stats.owner, stats.family) for stats in report.foreign} == {
        ("shop:2:product:*", "version 2 of this alias", ""),
        ("long:1:report:*", "alias json", ""),
        ("long:3:report:*", "version 3 of alias json", ""),
        ("celery-task-meta-*", "Celery", "queue"),
        ("celery\\x06\\x16*", "Celery", "queue"),
        ("rq:job:*", "RQ", "queue"),
        ("asgi::group:chat", "Channels", "queue"),
        ("other:*:django.contrib.sessions.cache*", "unknown", "session"),
        ("nobody\\*s", "unknown", ""),
    }


def test_families_are_named_and_protected() -> None:
    cache = caches["default"]
    cache.client.get_client(True).flushall()
    cache.set(SESSION % 1, 1)
    cache.set("template.cache.sidebar." + "0cc175b9c0f1b6a831c399e269772661", 1)
    found = {stats.family: stats for stats in census().patterns}
    assert found["session"].protected
    assert found["session"].pattern == "django.contrib.sessions.cache*"
    assert found["fragment"].title == "Template fragment “sidebar”"
    assert not found["fragment"].protected


def test_an_empty_keyspace_is_complete(raw: redis.Redis) -> None:
    for report in (census(), sample(adapter("default"), 50)):
        assert report.complete
        assert (report.scanned, report.patterns, report.foreign, report.large_keys) == (0, (), (), ())
        assert report.own_keys.value == 0
        assert report.measured


def test_a_sample_of_a_small_keyspace_is_exact(shop: redis.Redis) -> None:
    report = sample(adapter("default"), 5_000)
    assert report.complete
    assert report.patterns[0].size.exact
    assert report.patterns == census().patterns


def test_a_partial_census_gives_intervals_that_hold_the_truth(shop: redis.Redis) -> None:
    report = sample(adapter("default"), 0)
    assert not report.complete
    assert 0 < report.scanned < 3002
    truth = {"product:*": (1000, 0.25), "product:*:reviews": (1000, 0.0), "user:*:cart": (1000, 1.0)}
    for name, (keys, no_expiry) in truth.items():
        stats = by_pattern(report)[name]
        assert 0 < stats.size_share.low <= stats.size_share.value <= stats.size_share.high < 1
        for estimate, true in ((stats.keys, keys), (stats.no_expiry, no_expiry)):
            assert not estimate.exact
            # Twice as wide on both sides, so that chance does not fail the test.
            width = estimate.high - estimate.low
            assert estimate.low - width <= true <= estimate.high + width


def test_a_pattern_that_is_one_key_is_known_as_soon_as_it_is_met(shop: redis.Redis) -> None:
    # Next to each other in the hash table or not: of so many some are in the first page.
    caches["default"].set_many({f"{word}:settings": "x" * 500 for word in "abcdefghijklmnopqrstuvwxyz"})
    shop.mset({f"{word}-queue": "y" for word in "abcdefghijklmnopqrstuvwxyz"})
    report = sample(adapter("default"), 0)
    assert not report.complete
    met = [stats for stats in report.patterns if stats.pattern.endswith(":settings")]
    assert met
    for stats in met:
        assert (stats.keys.value, stats.keys.exact, stats.size.exact) == (1, True, True)
        assert stats.size.value == shop.memory_usage(stats.largest_key)
        assert not stats.size_share.exact
        assert 0 < stats.size_share.low <= stats.size_share.value <= stats.size_share.high < 0.1
    assert all(stats.keys == met[0].keys for stats in report.foreign if stats.pattern.endswith("-queue"))
    # All that was not met is still expected.
    assert report.own_size.value > sum(stats.size.value for stats in report.patterns)


def test_an_interrupted_census_goes_on_in_another_process(shop: redis.Redis) -> None:
    first = Census(adapter("default"))
    for page in adapter("default").walk(first.choose):
        first.feed(page)
        break
    assert not first.report().complete
    second = Census.restore(adapter("default"), json.loads(json.dumps(first.dump())))
    for page in adapter("default").walk(second.choose, cursor=second.cursor, run_id=second.run_id):
        second.feed(page)
    report, whole = second.report(), census()
    assert report.complete
    assert {stats.pattern: (stats.keys, stats.size, stats.largest) for stats in report.patterns} == {
        stats.pattern: (stats.keys, stats.size, stats.largest) for stats in whole.patterns
    }
    assert [large.size for large in report.large_keys] == [large.size for large in whole.large_keys]


def test_a_page_of_another_server_process_starts_the_census_over(shop: redis.Redis) -> None:
    found = Census(adapter("default"))
    for page in adapter("default").walk(found.choose):
        found.feed(page)
        break
    found.run_id = "of a server that was restarted"
    for page in adapter("default").walk(found.choose, cursor=found.cursor, run_id=found.run_id):
        found.feed(page)
    report = found.report()
    assert report.scanned == 3002
    assert report.notes == ("The server was restarted; the scan began again.",)


def test_without_permission_to_measure_keys_are_counted_all_the_same(shop: redis.Redis) -> None:
    shop.execute_command("ACL", "SETUSER", "default", "-memory|usage")
    try:
        report = census()
    finally:
        shop.execute_command("ACL", "SETUSER", "default", "+@all")
    assert not report.measured
    assert report.complete
    assert by_pattern(report)["product:*"].keys.value == 1000
    assert report.own_size.value == 0
    assert "memory|usage" in report.notes[0]


def test_keys_beyond_the_limit_of_patterns_are_counted_together(raw: redis.Redis) -> None:
    raw.mset({f"shop:1:{'abcdefghij'[i % 10] * (i + 1)}:{i}": "1" for i in range(40)})
    with override_settings(CACHE_ADMIN={"MAX_PATTERNS": 10}):
        report = census()
    assert len(report.patterns) == 10
    assert report.other is not None
    assert report.other.keys.value == 30
    assert sum(stats.keys.value for stats in report.patterns) == 10


def test_merged_patterns_keep_their_counts(shop: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "SIBLINGS", 3)
    monkeypatch.setattr(folding, "FIRST_SIBLINGS", 3)
    shop.mset({f"shop:1:{word}:{i}:tail": "1" for word in "abcdefgh" for i in range(10)})
    report = census()
    assert report.own_keys.value == sum(stats.keys.value for stats in report.patterns) == 3082
    assert report.own_size.value == sum(stats.size.value for stats in report.patterns)
    assert by_pattern(report)["*:*:tail"].keys.value == 80


def test_a_report_survives_json(shop: redis.Redis) -> None:
    shop.mset({b"shop:1:\xff\xfe:1": "1", b"\xff": "1"})
    for report in (census(), sample(adapter("default"), 0)):
        assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report

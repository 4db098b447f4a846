"""What expires when: exact where every key was asked, with cliffs named and steady churn left alone."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
import redis

from cache_admin.adapters import adapter
from cache_admin.keyspace import forecast
from cache_admin.keyspace.census import Census, sample
from cache_admin.keyspace.forecast import Forecast
from cache_admin.keyspace.report import Report

HOUR = 3_600


@pytest.fixture(autouse=True)
def away_from_the_edge_of_a_minute() -> None:
    if (left := 60 - time.time() % 60) < 4:
        time.sleep(left)


def census() -> Report:
    found = Census(adapter("default"))
    for page in adapter("default").walk(found.choose):
        found.feed(page)
    return found.report()


def fill(raw: redis.Redis, pattern: str, lives: list[float]) -> None:
    pipe = raw.pipeline(transaction=False)
    for i, life in enumerate(lives):
        pipe.set(f"shop:1:{pattern.replace('*', str(i))}", "x", px=max(1, round(life * 1000)))
    pipe.execute()


def next_minute(minutes: int) -> float:
    """Seconds to the middle of a minute by the clock."""
    return 60 * minutes + 30 - time.time() % 60


def sentences(found: Forecast) -> list[str]:
    return [cliff.sentence for cliff in found.cliffs]


def test_each_minute_equals_an_independent_count(raw: redis.Redis) -> None:
    fill(raw, "product:*", [random.uniform(1, 2 * HOUR) for _ in range(900)])
    fill(raw, "page:*", [random.uniform(1, 2 * HOUR) for _ in range(300)])
    raw.mset({f"shop:1:user:{i}": "1" for i in range(50)})
    report = census()
    found = forecast.of(report, report.started)
    expected = [0] * 60
    for key in raw.scan_iter():
        if (moment := raw.pexpiretime(key)) >= 0 and (minute := int(moment // 60_000 - found.start // 60)) < 60:
            expected[minute] += 1
    assert found.start == report.started // 60 * 60
    assert all(minute.exact for minute in found.minutes)
    # A life is told in milliseconds that are left, so a key at the edge of a minute may count for its neighbour.
    moved = sum(abs(minute.value - count) for minute, count in zip(found.minutes, expected, strict=True))
    assert moved <= 4
    assert found.total.value == pytest.approx(sum(expected), abs=2)
    assert {one.stats.pattern for one in found.patterns} == {"product:*", "page:*"}
    assert sum(one.total.value for one in found.patterns) == found.total.value
    assert found.unasked == 0


def test_a_cliff_is_named_with_its_minute(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(7)] * 1_200)
    fill(raw, "product:*", [random.uniform(1, 3 * HOUR) for _ in range(1_500)])
    report = census()
    found = forecast.of(report)
    moment = forecast.clock(report.started + 7 * 60)
    assert sentences(found) == [f"1,200 keys of catalog:* expire at {moment}, 100\xa0% of the pattern."]
    (cliff,) = found.cliffs
    assert (cliff.keys.value, cliff.share, cliff.minutes, cliff.whole_alias) == (1_200, 1.0, 1, False)


def test_small_patterns_make_a_cliff_of_the_whole_cache_together(raw: redis.Redis) -> None:
    for name in "abc":
        fill(raw, f"{name * 3}:*", [next_minute(9)] * 200)
    fill(raw, "product:*", [random.uniform(1, 3 * HOUR) for _ in range(300)])
    (cliff,) = forecast.of(census()).cliffs
    assert cliff.whole_alias
    assert 600 <= cliff.keys.value <= 620
    assert "of this cache; most of them are" in cliff.sentence


def test_a_cliff_over_the_edge_of_a_minute_is_one(raw: redis.Redis) -> None:
    edge = next_minute(12) + 30
    fill(raw, "catalog:*", [edge + offset for offset in (-10, 10)] * 600)
    (cliff,) = forecast.of(census()).cliffs
    assert (cliff.keys.value, cliff.minutes) == (1_200, 2)
    assert "between" in cliff.sentence


@pytest.mark.parametrize("life", [45, 120, 300, 1_200, 7_200])
def test_what_is_written_all_the_time_makes_no_cliff(raw: redis.Redis, life: int) -> None:
    fill(raw, "rate:*", [random.uniform(0.5, life) for _ in range(2_000)])
    assert sentences(forecast.of(census())) == []


def test_an_empty_cache_has_no_forecast_to_make(raw: redis.Redis) -> None:
    found = forecast.of(census())
    assert (found.total.value, found.patterns, found.cliffs) == (0, (), ())


def test_an_older_report_tells_of_what_is_left_of_its_hour(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(30)] * 1_200)
    fill(raw, "soon:*", [next_minute(5)] * 40)
    report = census()
    later = forecast.of(report, report.started + 20 * 60)
    assert len(later.minutes) == 40
    assert [one.stats.pattern for one in later.patterns] == ["catalog:*"]
    assert later.patterns[0].minutes[10].value == 1_200
    assert sentences(later) == sentences(forecast.of(report))
    assert forecast.of(report, report.started + HOUR + 60).minutes == ()
    # A clock that was set back shows the whole hour.
    assert len(forecast.of(report, report.started - HOUR).minutes) == 60


def test_a_sample_estimates_with_an_interval_that_holds_the_truth(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(7)] * 30_000)
    fill(raw, "product:*", [random.uniform(1, 4 * HOUR) for _ in range(60_000)])
    report = sample(adapter("default"), 30)
    assert not report.complete
    found = forecast.of(report)
    minute = found.minutes[7]
    assert not minute.exact
    # Twice as wide on both sides, so that chance does not fail the test.
    width = minute.high - minute.low
    assert minute.low - width <= 30_250 <= minute.high + width
    assert [cliff.stats.pattern for cliff in found.cliffs] == ["catalog:*"]
    assert sentences(found)[0].startswith("≈")


def test_keys_without_a_known_expiry_are_told_of(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(7)] * 100)
    report = census()
    unasked = tuple(replace(stats, probed=0, soon=()) for stats in report.patterns)
    assert forecast.of(replace(report, patterns=unasked)).unasked == 1.0


def test_a_census_that_goes_on_elsewhere_keeps_its_minutes(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(7)] * 1_200)
    found = Census(adapter("default"))
    for page in adapter("default").walk(found.choose):
        found.feed(page)
    again = Census.restore(adapter("default"), found.dump())
    assert forecast.of(again.report()).minutes == forecast.of(found.report()).minutes
    assert Report.from_json(found.report().to_json()) == found.report()


def test_a_report_stored_without_minutes_is_read_and_says_that_it_does_not_know(raw: redis.Redis) -> None:
    fill(raw, "catalog:*", [next_minute(7)] * 100)
    stored = census().to_json()
    for stats in stored["patterns"]:
        del stats["probed"], stats["soon"]
    found = forecast.of(Report.from_json(stored))
    assert (found.total.value, found.unasked) == (0, 1.0)

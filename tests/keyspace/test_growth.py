"""Of every day the last look is kept, counted before estimated; pages compare with a week before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
import redis
from django.db import connection

from cache_admin.adapters import adapter
from cache_admin.keyspace import growth, reports
from cache_admin.keyspace.census import Census
from cache_admin.keyspace.report import Estimate, Report
from cache_admin.models import Growth

pytestmark = pytest.mark.django_db
DAY = 86_400.0


@pytest.fixture(autouse=True)
def nothing_remembered(raw: redis.Redis) -> Iterator[None]:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(50)})
    reports.forget()
    yield
    reports.forget()


def census(days_ago: float = 0.0) -> Report:
    found = Census(adapter("default"))
    for page in adapter("default").walk(found.choose):
        found.feed(page)
    report = found.report()
    return replace(report, started=report.started - days_ago * DAY)


def grown(report: Report, factor: float) -> Report:
    sizes = [Estimate.of(stats.size.value * factor) for stats in report.patterns]
    patterns = (replace(stats, size=size) for stats, size in zip(report.patterns, sizes, strict=True))
    return replace(report, patterns=tuple(patterns))


def test_a_stored_census_is_the_row_of_its_day() -> None:
    report = census()
    reports.save(report)
    reports.save(grown(report, 2))
    row = Growth.objects.get()
    assert (row.alias, row.day, row.complete) == ("default", growth.day_of(report), True)
    assert row.contents == {"product:*": [50, round(report.own_size.value * 2), 1.0]}


def test_a_sample_never_takes_the_place_of_a_count() -> None:
    report = census()
    growth.remember(replace(report, complete=False))
    assert not Growth.objects.get().complete
    growth.remember(report)
    growth.remember(replace(grown(report, 3), complete=False))
    row = Growth.objects.get()
    assert row.complete
    assert row.contents["product:*"][1] == report.own_size.value


def test_a_week_is_compared_in_words() -> None:
    report = census()
    assert growth.changes(report) == {}
    for days, factor in ((20, 4.0), (8, 0.5), (7, 0.8), (3, 0.9)):
        growth.remember(grown(replace(report, started=report.started - days * DAY), factor))
    change = growth.changes(report)["product:*"]
    assert (change.days, change.share, change.sentence) == (
        7,
        pytest.approx(0.25, abs=0.001),
        "25\xa0% more than 7 days ago",
    )
    assert change.difference == round(report.own_size.value) - round(report.own_size.value * 0.8)
    shrunk = growth.changes(grown(report, 0.4))["product:*"]
    assert shrunk.sentence == "50\xa0% less than 7 days ago"
    assert growth.changes(grown(report, 0.8))["product:*"].sentence == "as much as 7 days ago"
    assert growth.changes(replace(report, complete=False))["product:*"].sentence.startswith("≈")


def test_a_short_history_compares_with_its_first_day() -> None:
    report = census()
    for days in (3, 1):
        growth.remember(grown(replace(report, started=report.started - days * DAY), days))
    assert growth.changes(report)["product:*"].days == 3


def test_a_new_pattern_is_told_as_one(raw: redis.Redis) -> None:
    growth.remember(census(7))
    raw.set("shop:1:novelty", "x")
    change = growth.changes(census())["novelty"]
    assert (change.share, change.sentence) == (None, "not there, or not among the largest, 7 days ago")
    assert change.difference == change.now.size > 0


def test_history_is_by_day_and_kept_for_so_long(raw: redis.Redis) -> None:
    report = census()
    today = growth.day_of(report)
    for days in (growth.DAYS + 5, growth.DAYS + 1, 40, 2):
        day = today - timedelta(days=days)
        Growth.objects.create(alias="default", day=day, complete=False, contents={"product:*": [days, 10, None]})
    Growth.objects.create(alias="gone", day=date(2020, 1, 1), complete=True, contents={})
    growth.remember(report)
    points = growth.history("default", "product:*")
    assert [point.keys for point in points] == [40, 2, 50]
    assert [point.complete for point in points] == [False, False, True]
    assert growth.history("default", "nothing:*") == ()
    assert not Growth.objects.filter(alias="gone").exists()


def test_only_the_largest_patterns_are_kept(monkeypatch: pytest.MonkeyPatch, raw: redis.Redis) -> None:
    monkeypatch.setattr(growth, "TOP", 2)
    raw.mset({"shop:1:aaa": "x" * 5_000, "shop:1:bbb": "x"})
    growth.remember(census())
    assert set(Growth.objects.get().contents) == {"aaa", "product:*"}


def test_without_its_table_there_is_no_growth(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cache_admin_growth RENAME TO elsewhere")
    assert growth.changes(census()) == {}
    assert growth.history("default", "product:*") == ()
    assert "cannot be read" in caplog.text

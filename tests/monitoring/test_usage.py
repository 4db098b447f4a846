"""Counts in the database: written in one statement, summed up, bounded, and read as series."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cache_admin.models import Usage
from cache_admin.monitoring import flushing, instrument, leases, rates, rollup
from cache_admin.monitoring.recorder import recorder
from cache_admin.monitoring.spans import SPANS, span_of
from cache_admin.monitoring.usage import OTHER, Counts, dump, encoded, load
from cache_admin.patterns import ID, WORD

NOW = 1_795_600_000.0
A, B = b"a:" + ID, b"b:" + ID


@pytest.fixture
def forgotten() -> Iterator[None]:
    flushing.forget()
    yield
    flushing.forget()


def ask(alias: str = "default", **hits: int) -> None:
    """Look-ups as the recorder hears them."""
    for name, number in hits.items():
        for i in range(number):
            recorder.record(alias, "hit", (f"{name}:{i}",), 0.001)


def stored(level: int, at: float, source: str = "", alias: str = "default", **hits: int) -> Usage:
    counts = {f"{name}:".encode() + ID: Counts(hits=number) for name, number in hits.items()}
    return Usage(level=level, alias=alias, at=int(at), source=source, counts=dump(counts))


def hits(usage: rates.AliasUsage) -> dict[bytes, int]:
    return {pattern.template: pattern.total.hits for pattern in usage.patterns}


@pytest.mark.django_db
def test_a_flush_is_one_statement_whatever_the_number_of_patterns(forgotten: None) -> None:
    for i in range(250):
        recorder.record("default", "miss", (f"{chr(97 + i % 26)}{chr(97 + i // 26)}:x",), 0.0)
        recorder.record("core", "miss", (f"{chr(97 + i % 26)}{chr(97 + i // 26)}:x",), 0.0)
    with CaptureQueriesContext(connection) as queries:
        assert flushing.flush()
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]
    assert Usage.objects.count() == 2
    assert sum(len(row.counts) for row in Usage.objects.all()) == 500
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert flushing.flush()
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_locked_database_loses_nothing_and_is_left_alone(forgotten: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(a=3)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 50")
    locker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        assert not flushing.flush()
        ask(a=2, b=1)
        began = time.monotonic()
        assert not flushing.flush()  # not even asked
        assert time.monotonic() - began < 0.04
    finally:
        locker.close()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 20000")
    monkeypatch.setattr(flushing.flusher, "_again", float("-inf"))
    assert flushing.flush()
    (row,) = Usage.objects.all()
    assert {template: one.hits for template, one in load(row.counts).items()} == {A: 5, B: 1}


@pytest.mark.django_db
def test_a_missing_table_costs_only_the_counts(forgotten: None) -> None:
    ask(a=1)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Usage._meta.db_table} RENAME TO gone")
    assert not flushing.flush()
    assert "tables are missing" in rates.usage("default", SPANS[0]).note


@pytest.mark.django_db
def test_what_waits_for_the_database_is_bounded(forgotten: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "MOST_KEPT", 10)
    monkeypatch.setattr(flushing.flusher, "_again", float("inf"))
    for i in range(60):
        recorder.record("default", "miss", (f"{chr(97 + i % 26)}{chr(97 + i // 26)}:x",), 0.0)
        assert not flushing.flush()
    kept = flushing.flusher._kept["default"]
    assert len(kept) <= 11
    assert sum(one.misses for one in kept.values()) == 60


@pytest.mark.django_db
def test_processes_are_summed_into_minutes_and_longer_stretches() -> None:
    start = NOW - NOW % 21_600 - 21_600  # a quarter of a day that is over
    for minute in range(360):
        for process in "pq":
            Usage.objects.bulk_create([stored(0, start + 60 * minute + 7, f"{process}#{minute}", a=2, b=1)])
    rollup.run(start + 21_600 + 3_000)
    assert not Usage.objects.filter(level=0).exists()
    sums = {level: 0 for level, _kept in rollup.LEVELS}
    for row in Usage.objects.all():
        assert row.source == ""
        sums[row.level] += load(row.counts)[A].hits
    # Minutes are kept for three hours only.
    assert (sums[600], sums[3_600], sums[21_600]) == (1_440, 1_440, 1_440)
    assert sums[60] < 1_440
    assert Usage.objects.filter(level=21_600).count() == 1


@pytest.mark.django_db
def test_summing_up_twice_changes_nothing() -> None:
    at = NOW - 4_000
    Usage.objects.bulk_create([stored(0, at + 20 * i, f"p#{i}", a=1) for i in range(150)])
    for _ in range(3):
        rollup.run(NOW)
    leases.release("usage")
    assert hits(rates.between("default", NOW - 7_200, NOW, 600)) == {A: 150}
    assert hits(rates.between("default", NOW - 7_200, NOW, 60)) == {A: 150}


@pytest.mark.django_db
def test_late_rows_join_their_minute() -> None:
    Usage.objects.bulk_create([stored(0, NOW - 300, "p#1", a=1)])
    rollup.run(NOW)
    Usage.objects.bulk_create([stored(0, NOW - 299, "q#1", a=2)])
    rollup.run(NOW)
    assert Usage.objects.filter(level=60).count() == 1
    assert hits(rates.between("default", NOW - 900, NOW, 60)) == {A: 3}


@pytest.mark.django_db(transaction=True)
def test_two_that_sum_up_at_once_count_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    Usage.objects.bulk_create([stored(0, NOW - 900 + i, f"p#{i}", a=1) for i in range(400)])
    monkeypatch.setattr(leases, "hold", lambda *args: True)  # as if the lease had failed

    def work() -> None:
        rollup.run(NOW)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollup.run(NOW)
    assert hits(rates.between("default", NOW - 1_800, NOW, 60)) == {A: 400}


@pytest.mark.django_db
def test_only_the_holder_of_the_lease_sums_up(monkeypatch: pytest.MonkeyPatch) -> None:
    Usage.objects.bulk_create([stored(0, NOW - 900, "p#1", a=1)])
    monkeypatch.setattr(leases, "hold", lambda *args: False)
    rollup.run(NOW)
    assert Usage.objects.filter(level=0).count() == 1


@pytest.mark.django_db
def test_tables_are_bounded_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    Usage.objects.bulk_create(
        [stored(level, NOW - age, a=1) for level, kept in rollup.LEVELS for age in (kept + level + 5, kept // 2, 0)]
    )
    monkeypatch.setattr(rollup, "CHUNK", 1)
    rollup.run(NOW)
    for level, kept in rollup.LEVELS:
        oldest = Usage.objects.filter(level=level).order_by("at").values_list("at", flat=True)[0]
        assert oldest >= NOW - kept
    monkeypatch.setattr(rollup, "MOST_PATTERNS", 3)
    many = rollup.summed([{f"p{i}": [i] for i in range(10)}, {encoded(OTHER): [5]}])
    assert len(many) <= 4
    assert sum(numbers[0] for numbers in many.values()) == 50
    assert many["p9"] == [9]


@pytest.mark.django_db
def test_a_clock_that_is_a_day_ahead_for_a_moment_costs_nothing() -> None:
    Usage.objects.bulk_create([stored(60, NOW - 60 * i, a=1) for i in range(100)])
    rollup.run(NOW + 86_400)
    assert Usage.objects.filter(level=60).count() == 100
    leases.release("usage")
    rollup.run(NOW - 3_600)  # and an hour back
    assert Usage.objects.filter(level=60).count() == 100


@pytest.mark.django_db
@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.slug)
def test_every_span_has_all_that_was_counted_in_it(span: Any) -> None:
    step = rates.STEPS[span.slug]
    moments = [NOW - span.seconds * share for share in (0.9, 0.5, 0.3, 0.1)] + [NOW - 30]
    Usage.objects.bulk_create([stored(0, at, f"p#{i}", a=10) for i, at in enumerate(moments)])
    rollup.run(NOW)
    usage = rates.usage("default", span, now=NOW)
    assert hits(usage) == {A: 50}
    assert len(usage.at) == len(usage.patterns[0].points) == round(span.seconds / step)
    assert usage.at[-1] - step <= NOW < usage.at[-1] + step
    assert sum(rate is not None for rate in usage.hit_rates) == len({int(at // step) for at in moments})


@pytest.mark.django_db
def test_hit_rate_and_trend_of_a_pattern() -> None:
    def row(at: float, hits: int, misses: int) -> Usage:
        return Usage(
            level=60, alias="default", at=int(at - at % 60), counts=dump({A: Counts(hits=hits, misses=misses)})
        )

    Usage.objects.bulk_create([row(NOW - 840, 90, 10), row(NOW - 120, 30, 70), row(NOW - 60, 0, 0)])
    (pattern,) = rates.usage("default", span_of("15m"), now=NOW).patterns
    assert pattern.total.hit_rate == pytest.approx(0.6)
    assert pattern.trend == pytest.approx(-0.6)
    assert [rate for rate in pattern.hit_rates if rate is not None] == [0.9, 0.3]


@pytest.mark.parametrize(("minutes", "trend"), [(20, -0.6), (6, -0.6), (4, None)])
@pytest.mark.django_db
def test_what_is_asked_only_lately_has_the_trend_of_that_time(minutes: int, trend: float | None) -> None:
    def row(at: float, hits: int, misses: int) -> Usage:
        return Usage(level=60, alias="default", at=int(at // 60) * 60, counts=dump({A: Counts(hits, misses)}))

    Usage.objects.bulk_create([row(NOW - 60 * minutes, 90, 10), row(NOW - 60, 30, 70)])
    (pattern,) = rates.usage("default", span_of("1h"), now=NOW).patterns
    assert pattern.trend == (None if trend is None else pytest.approx(trend))


@pytest.mark.django_db
def test_what_one_process_tells_apart_joins_what_another_folds() -> None:
    wide = b"user:" + WORD + b":profile"
    rows = {wide: Counts(hits=5), b"user:anna:profile": Counts(hits=2), b"user:anna:cart": Counts(hits=1)}
    Usage.objects.bulk_create([Usage(level=60, alias="default", at=int(NOW) - 60, counts=dump(rows))])
    assert hits(rates.usage("default", SPANS[0], now=NOW)) == {wide: 7, b"user:anna:cart": 1}


@pytest.mark.django_db
def test_rebuilds_of_several_processes_at_once_are_a_stampede(forgotten: None, raw: Any) -> None:
    def told(process: str, start: float, stop: float) -> Usage:
        row = stored(0, NOW - 600, f"{process}#1", a=1)
        row.rebuilds = [[encoded(A), "digest", start, stop]]
        return row

    Usage.objects.bulk_create([told("p", 0, 3), told("q", 1, 3), told("r", 2, 5), told("s", 6, 7)])
    rollup.run(NOW)
    found = load(Usage.objects.get(level=60).counts)[A]
    assert (found.duplicates, found.duplicate_micros) == (2, 5_000_000)


@pytest.mark.django_db
def test_long_rebuilds_are_written_down_with_a_digest_of_the_key(forgotten: None, raw: Any) -> None:
    with instrument.listening(recorder.record):
        caches["default"].get("a:secret1")
        time.sleep(0.03)
        caches["default"].set("a:secret1", 1)
    assert flushing.flush()
    (row,) = Usage.objects.all()
    ((pattern, digest, start, stop),) = row.rebuilds
    assert pattern in row.counts
    assert "secret" not in digest
    assert 0.025 <= stop - start < 2
    assert abs(time.time() - stop) < 1


def test_nobody_waits_for_a_flush_under_way(forgotten: None) -> None:
    with flushing.flusher._lock:
        began = time.monotonic()
        assert not flushing.flush()
        assert time.monotonic() - began < 0.5


@pytest.mark.django_db
def test_a_pattern_of_another_count_is_found_by_membership() -> None:
    wide = b"user:" + WORD + b":profile"
    rows = {wide: Counts(hits=5), b"cart:anna:x": Counts(hits=2), b"cart:bert:x": Counts(misses=1), A: Counts(hits=1)}
    Usage.objects.bulk_create([Usage(level=60, alias="default", at=int(NOW) - 60, counts=dump(rows))])
    usage = rates.usage("default", SPANS[0], now=NOW)

    def lookups(template: bytes) -> int | None:
        found = usage.about(template)
        return found.total.lookups if found else None

    assert lookups(A) == 1
    assert lookups(b"user:anna:profile") == 5  # told apart there, folded here
    assert lookups(b"cart:" + WORD + b":x") == 3  # and the other way round
    assert lookups(b"cart:" + WORD + b":y") is None
    assert lookups(OTHER) is None


@pytest.mark.django_db
def test_all_patterns_together_and_points_in_groups() -> None:
    def row(at: float, **hits: int) -> Usage:
        return stored(60, at - at % 60, **hits)

    Usage.objects.bulk_create([row(NOW - 840, a=2, b=1), row(NOW - 120, a=4)])
    usage = rates.usage("default", SPANS[0], now=NOW)
    assert usage.total.hits == sum(counts.total.hits for counts in usage.patterns) == 7
    assert [value for value in usage.series(lambda counts: counts.hits) if value is not None] == [3, 4]
    assert usage.hit_rates.count(1.0) == 2
    assert usage.whole.hit_rates_of(3) == (1.0, None, 1.0)
    assert usage.lost is None


@pytest.mark.django_db
def test_the_last_point_is_as_long_as_it_has_lasted() -> None:
    usage = rates.usage("default", SPANS[0], now=NOW - NOW % 60 + 20)
    assert usage.seconds[-1] == 20
    assert set(usage.seconds[:-1]) == {60}


@pytest.mark.django_db(transaction=True)
def test_counts_can_be_read_while_another_process_writes() -> None:
    Usage.objects.bulk_create([stored(60, NOW - 120, a=1)])
    locker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        began = time.monotonic()
        assert hits(rates.usage("default", SPANS[0], now=NOW)) == {A: 1}
        assert time.monotonic() - began < 2
    finally:
        locker.close()

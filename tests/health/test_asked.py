"""Findings from what the application asked: thresholds, shares, and what real caches lead to."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import caches

from cache_admin.adapters import adapter
from cache_admin.health import checking, counted
from cache_admin.models import Usage
from cache_admin.monitoring import flushing, instrument
from cache_admin.monitoring.history import Recent
from cache_admin.monitoring.recorder import recorder
from cache_admin.monitoring.usage import Counts, dump
from cache_admin.patterns import ID

from .conftest import EMPTY, NOW, asked, found, one

A, B = b"a:" + ID, b"b:" + ID


def rate(hits: int, misses: int) -> Counts:
    return Counts(hits=hits, misses=misses)


@pytest.mark.parametrize(
    ("hour", "before", "level"),
    [
        (rate(300, 700), rate(9_000, 1_000), "bad"),
        (rate(700, 300), rate(9_000, 1_000), "warn"),
        (rate(850, 150), rate(9_000, 1_000), None),
        (rate(950, 50), rate(9_000, 1_000), None),
        (rate(50, 149), rate(9_000, 1_000), None),
        (rate(300, 700), rate(900, 99), None),
        (rate(0, 0), rate(9_000, 1_000), None),
        (rate(160, 40), rate(1_050, 50), "warn"),
    ],
)
def test_a_hit_rate_fell(hour: Counts, before: Counts, level: str | None) -> None:
    said = found("hit-rate", asked({A: hour}, {A: before}))
    assert [(finding.code, finding.level) for finding in said] == ([("hit-rate:a:*", level)] if level else [])


def test_a_pattern_that_fell_is_named_when_the_others_hide_it() -> None:
    said = found(
        "hit-rate", asked({A: rate(300, 700), B: rate(99_000, 1_000)}, {A: rate(900, 100), B: rate(990_000, 9_000)})
    )
    assert [finding.code for finding in said] == ["hit-rate:a:*"]
    assert said[0].text == "hit rate of a:* fell to 30\u00a0% from 90\u00a0%"
    assert said[0].evidence == ("1,000 look-ups in the last hour", "1,000 in the 24\u00a0h before")
    assert (said[0].link, said[0].template) == ("hit_rates", A)


def test_the_alias_is_told_of_where_no_pattern_speaks_for_it() -> None:
    both = {A: rate(300, 700), B: rate(300, 700)}
    said = found("hit-rate", asked(both, {A: rate(9_000, 1_000), B: rate(9_000, 1_000)}))
    assert [finding.code for finding in said] == ["hit-rate", "hit-rate:a:*", "hit-rate:b:*"]
    assert said[0].text == "hit rate fell to 30\u00a0% from 90\u00a0%"


def test_without_a_time_before_there_is_nothing_to_compare_with() -> None:
    assert found("hit-rate", asked({A: rate(300, 700)}, {A: rate(9_000, 1_000)}, hours=2)) == []


def test_of_a_share_of_the_operations_less_is_known() -> None:
    facts = asked({A: rate(300, 700)}, {A: rate(9_000, 1_000)}, share=0.5)
    assert "≈\u202f1,000 look-ups" in found("hit-rate", facts)[0].evidence[0]
    assert found("hit-rate", asked({A: rate(300, 700)}, {A: rate(9_000, 1_000)}, share=0.1)) == []


@pytest.mark.parametrize(
    ("duplicates", "rebuilds", "told"), [(30, 100, True), (19, 100, False), (30, 400, False), (0, 0, False)]
)
def test_stampedes(duplicates: int, rebuilds: int, told: bool) -> None:
    counts = Counts(duplicates=duplicates, rebuilds=rebuilds, duplicate_micros=4_000_000)
    said = found("stampede", asked({A: counts}))
    assert bool(said) is told
    if told:
        assert said[0].evidence[1] == "4.0\u00a0s computed in vain"


@pytest.mark.parametrize(
    ("early", "evictions", "told"), [(30, 1.0, True), (30, 0.0, False), (19, 1.0, False), (30, 0.04, False)]
)
def test_keys_that_went_early_count_while_the_server_evicts(early: int, evictions: float, told: bool) -> None:
    facts = asked({A: Counts(misses=100, early=early)})
    facts = replace(facts, history=replace(EMPTY, recent=Recent(seconds=300, evictions=evictions)))
    assert bool(found("early", facts)) is told


def test_early_misses_that_are_few_among_all_are_no_finding() -> None:
    facts = asked({A: Counts(misses=10_000, early=100)})
    facts = replace(facts, history=replace(EMPTY, recent=Recent(seconds=300, evictions=1.0)))
    assert found("early", facts) == []


def test_what_is_hardly_read_is_told_with_who_does_not_read_it() -> None:
    facts = asked({}, {A: Counts(sets=300), B: Counts(sets=300, hits=100)})
    assert (one("write-only", facts).code, one("write-only", facts).level) == ("write-only:a:*", "warn")
    assert one("write-only", facts).text == "a:* is written, and never read by this site's processes"
    assert (one("read-once", facts).code, one("read-once", facts).level) == ("read-once:b:*", "info")
    assert one("read-once", facts).text == "values of b:* are read less than once each by this site's processes"
    assert one("read-once", facts).evidence == ("300 sets and 100 hits in the last 25\u00a0h",)


@pytest.mark.parametrize(
    ("errors", "operations", "told"), [(5, 100, True), (4, 100, False), (20, 10_000, False), (50, 0, True)]
)
def test_errors(errors: int, operations: int, told: bool) -> None:
    said = found("errors", asked({A: Counts(hits=operations, errors=errors)}))
    assert bool(said) is told
    if told:
        assert said[0].level == "bad"
        assert said[0].evidence[-1] == "most of them with a:*"


@pytest.mark.django_db
class TestCounted:
    def stored(self, at: float, counts: dict[bytes, Counts], level: int = 600) -> None:
        at = int(at - at % level)
        Usage.objects.create(level=level, alias="locmem", at=at, counts=dump(counts))

    def test_the_last_hour_and_the_day_before_it(self) -> None:
        self.stored(NOW - 1_200, {A: rate(1, 2)})
        self.stored(NOW - 5 * 3_600, {A: rate(10, 0), B: rate(5, 5)})
        self.stored(NOW - 30 * 3_600, {A: rate(100, 0)})
        counts = counted.read("locmem", NOW)
        assert counts.hour == {A: rate(1, 2)}
        assert counts.before == {A: rate(10, 0), B: rate(5, 5)}
        assert 3.5 < counts.hours_before < 5

    def test_what_is_since_a_moment_leaves_out_the_minute_of_it(self) -> None:
        for minute in range(5):
            self.stored(NOW - 60 * minute, {A: rate(10**minute, 0)}, level=60)
        start = NOW - NOW % 60 - 120
        assert counted.since("locmem", start, NOW) == {A: rate(111, 0)}
        assert counted.since("locmem", start + 1, NOW) == {A: rate(11, 0)}
        assert counted.since("locmem", NOW - NOW % 60 + 1, NOW) == {}

    def test_a_long_time_since_is_read_in_longer_steps(self) -> None:
        self.stored(NOW - 3_600, {A: rate(1, 0)})
        self.stored(NOW - 9 * 3_600, {A: rate(10, 0)})
        assert counted.since("locmem", NOW - 10 * 3_600, NOW) == {A: rate(11, 0)}


@pytest.mark.django_db(transaction=True)
def test_a_stampede_that_threads_really_make_is_found(settings: Any) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RECORDING": True}
    flushing.forget()
    with instrument.listening(recorder.record):
        for number in range(25):
            barrier = threading.Barrier(2)

            def compute(key: str = f"report:{number}", barrier: threading.Barrier = barrier) -> None:
                cache = caches["locmem"]
                if cache.get(key) is None:
                    barrier.wait(10)
                    time.sleep(0.002)
                    cache.set(key, 1, 60)

            pair = [threading.Thread(target=compute) for _ in range(2)]
            for thread in pair:
                thread.start()
            for thread in pair:
                thread.join()
    flushing.flush()
    health = checking.check(adapter("locmem"))
    codes = {finding.code: finding for finding in health.findings}
    assert codes["stampede:report:*"].level == "warn"
    assert health.verdict.text.startswith("stampedes on report:*")
    assert one("stampede", asked({A: Counts(duplicates=30, rebuilds=60)})).link == "hit_rates"

"""Running totals: they only grow, whatever is summed up, trimmed or folded meanwhile, and they are bounded."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from cache_admin.models import Usage, UsageTotal
from cache_admin.monitoring import rollup, totals
from cache_admin.monitoring.stampedes import Rebuild
from cache_admin.monitoring.usage import OTHER, Counts, dump, encoded
from cache_admin.patterns import ID, WORD

NOW = 1_795_600_000.0


def told(at: float, source: str, alias: str = "default", **hits: int) -> None:
    """What a process writes down."""
    write(at, source, {f"{name}:".encode() + ID: Counts(hits=number) for name, number in hits.items()}, alias)


def write(at: float, source: str, counts: dict[bytes, Counts], alias: str = "default") -> None:
    Usage.objects.create(level=0, alias=alias, at=int(at), source=source, counts=dump(counts))


def hits(alias: str = "default") -> dict[str, int]:
    return {label: counts.hits for label, counts in totals.read().get(alias, {}).items()}


@pytest.mark.django_db
def test_totals_are_what_was_summed_up_and_what_waits_for_it() -> None:
    told(NOW - 600, "p", a=3, b=1)
    told(NOW - 590, "q", a=4)
    assert hits() == {}, "a place is given when counts are summed up"
    rollup.run(NOW)
    assert hits() == {"a:*": 7, "b:*": 1}
    told(NOW - 5, "p", a=2, c=9)
    assert hits() == {"a:*": 9, "b:*": 1}
    rollup.run(NOW + 200)
    assert hits() == {"a:*": 9, "b:*": 1, "c:*": 9}


PLAIN = [f"{name}:".encode() + ID for name in "abcdefgh"]
MIXED = [*PLAIN, *(b"user:" + name + b":cart" for name in (b"anna", b"bert", WORD, ID)), OTHER, b"other", b"user:x"]


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("templates", "room"), [(PLAIN, 8), (MIXED, 6)], ids=["enough room", "little room"])
def test_totals_never_go_backwards(
    seed: int, templates: list[bytes], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "MOST_PATTERNS", room)
    monkeypatch.setattr(rollup, "CHUNK", 7)
    dice = random.Random(seed)
    now, before, counted = NOW, dict[str, int](), 0
    for step in range(120):
        now += dice.choice((1, 5, 20, 70, 300))
        if dice.random() < 0.02:
            now += 36 * 86_400  # everything is trimmed
        if dice.random() < 0.6:
            counts = {dice.choice(templates): Counts(hits=dice.randrange(1, 9)) for _ in range(dice.randrange(1, 5))}
            counted += sum(one.hits for one in counts.values())
            write(now - dice.randrange(8), f"{dice.choice('pqr')}#{step}", counts)
        if dice.random() < 0.4:
            rollup.run(now)
        found = hits()
        assert all(found[name] >= before[name] for name in found.keys() & before.keys())
        assert len(found) <= room + 1
        before = found
    rollup.run(now + 600)
    assert not Usage.objects.filter(level=0).exists()
    if templates is PLAIN:
        assert sum(hits().values()) == counted


@pytest.mark.django_db
def test_totals_outlive_what_they_were_summed_from() -> None:
    told(NOW, "p", a=5)
    rollup.run(NOW + 600)
    rollup.run(NOW + 400 * 86_400)
    Usage.objects.all().delete()
    assert hits() == {"a:*": 5}


@pytest.mark.django_db
def test_patterns_beyond_the_bound_are_counted_under_other_until_one_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_PATTERNS", 2)
    told(NOW, "p", a=5, b=9, c=1)
    rollup.run(NOW + 300)
    assert hits() == {"a:*": 5, "b:*": 9, "other": 1}
    later = NOW + 300 + totals.QUIET
    told(later, "p#1", b=1, c=2, d=1)
    rollup.run(later + 300)
    assert hits() == {"b:*": 10, "c:*": 2, "other": 2}, "a was quiet; c begins at zero"


@pytest.mark.django_db
def test_what_one_process_folds_takes_in_what_another_tells_apart() -> None:
    write(NOW, "p", {b"user:anna:cart": Counts(hits=3), b"user:bert:cart": Counts(hits=2), b"user:1": Counts(hits=1)})
    rollup.run(NOW + 300)
    assert hits() == {"user:anna:cart": 3, "user:bert:cart": 2, "user:1": 1}
    write(NOW + 300, "q", {b"user:" + WORD + b":cart": Counts(hits=4)})
    rollup.run(NOW + 600)
    assert hits() == {"user:*:cart": 4, "user:1": 1}
    write(NOW + 600, "p", {b"user:anna:cart": Counts(hits=10)})
    assert hits() == {"user:*:cart": 14, "user:1": 1}


@pytest.mark.django_db
def test_stars_of_both_kinds_share_a_total() -> None:
    write(NOW, "p", {b"user:" + ID: Counts(hits=3), b"user:anna": Counts(hits=1)})
    rollup.run(NOW + 300)
    write(NOW + 300, "q", {b"user:" + WORD: Counts(hits=4)})
    assert hits() == {"user:*": 7, "user:anna": 1}
    rollup.run(NOW + 600)
    write(NOW + 600, "p", {b"user:" + ID: Counts(hits=1), b"user:bert": Counts(hits=1)})
    assert hits() == {"user:*": 9}


@pytest.mark.django_db
def test_stampedes_over_processes_are_in_the_totals() -> None:
    for process, start, stop in (("p", 0, 3), ("q", 1, 3)):
        told(NOW, f"{process}#1", a=1)
        rebuilds = [Rebuild(encoded(b"a:" + ID), "digest", start, stop)]
        Usage.objects.filter(source=f"{process}#1").update(rebuilds=rebuilds)
    rollup.run(NOW + 300)
    found = totals.read()["default"]["a:*"]
    assert (found.hits, found.duplicates, found.duplicate_micros) == (2, 1, 2_000_000)


@pytest.mark.django_db
def test_two_processes_that_sum_up_the_same_rows_count_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told(NOW, "p", a=5)
    grow = totals.grow

    def raced(*args: object) -> None:
        grow(*args)  # type: ignore[arg-type]
        Usage.objects.filter(level=0).delete()  # by another process, which is done first

    monkeypatch.setattr(totals, "grow", raced)
    rollup.run(NOW + 300)
    assert not UsageTotal.objects.exists()
    assert Usage.objects.filter(level=0).exists(), "taken back; in truth the other one counted it"


@pytest.mark.django_db
@pytest.mark.sqlite
def test_a_read_is_two_statements_whatever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_PENDING", 10)
    told(NOW, "p", a=1)
    rollup.run(NOW + 300)
    for number in range(30):
        told(NOW + 300, f"p#{number}", a=1)
    with CaptureQueriesContext(connection) as queries:
        assert hits() == {"a:*": 11}
    assert len([query for query in queries if query["sql"].startswith("SELECT")]) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_read_does_not_wait_for_a_writer() -> None:
    told(NOW, "p", a=1)
    rollup.run(NOW + 300)
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert hits() == {"a:*": 1}
        assert time.monotonic() - began < 0.3
        other.execute("ROLLBACK")


@pytest.mark.django_db
def test_a_missing_table_is_told_in_a_transaction_that_goes_on() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {UsageTotal._meta.db_table} RENAME TO gone")
    with pytest.raises(DatabaseError):
        totals.read()
    assert Usage.objects.count() == 0

"""Running totals of what the application asks, per alias and pattern, for machines that take differences themselves.

The stretches of ``rollup.py`` are coarsened and trimmed, so no sum over them only grows. A total does: what is summed
up is added to it in the same transaction, and :func:`read` adds what is not summed up yet, all in one statement, so
that nothing is counted twice or not at all in between.

An alias has so many places for patterns. A pattern without one is counted under ``usage.OTHER`` until it gets one, and
starts at zero there: counts never move from one total to another, for that would look like traffic. A pattern loses its
place only to a newcomer, after ``QUIET`` seconds of silence, or to a wider pattern that it is part of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

from django.db import router
from django.db.models import IntegerField, Value

from cache_admin.models import Usage, UsageTotal
from cache_admin.monitoring.database import impatient, looking
from cache_admin.monitoring.usage import NAMES, OTHER, Counts, decoded, encoded, sum_rows
from cache_admin.patterns import WORD, display, within

#: Patterns of an alias with a total of their own.
MOST_PATTERNS = 100
#: Seconds without an operation after which a pattern gives its place to a newcomer.
QUIET = 3_600
#: Rows not summed up yet that are read at once; of more the newest wait.
MOST_PENDING = 2_000
#: How ``usage.OTHER`` is called.
OTHER_LABEL = "other"
_OTHER = encoded(OTHER)
_PATIENCE = 500  #: milliseconds to wait for a locked database


class Place(TypedDict):
    """A total as it is stored."""

    since: int  #: Unix times, seconds
    grown: int
    counts: list[int]  #: in the order of ``Counts``


class Places:
    """The patterns of one alias that have a total, by their encoded templates. Changes what it is given."""

    def __init__(self, stored: dict[str, Place]) -> None:
        self._stored = stored
        self._index()

    def _index(self) -> None:
        in_order = sorted(self._stored, key=lambda pattern: (self._stored[pattern]["since"], pattern))
        self._by_label = {label(pattern): pattern for pattern in in_order}
        self._wide = [pattern for pattern in in_order if WORD in decoded(pattern)]

    def find(self, pattern: str) -> str | None:
        """The place of a pattern: its own, or of a wider one. The answer stays the same while the places do."""
        own = self._by_label.get(label(pattern))
        if own is None and pattern != _OTHER:
            template = decoded(pattern)
            return next((wide for wide in self._wide if within(template, decoded(wide))), None)
        return own

    def add(self, counts: Mapping[str, Sequence[int]], now: int) -> None:
        """Adds what was counted, and gives places to newcomers, those that are asked most first."""
        newcomers = []
        for pattern, numbers in counts.items():
            place = self.find(pattern)
            if place is None or self._widens(pattern, place):
                newcomers.append(pattern)
            else:
                self._grow(place, numbers, now)
        for pattern in sorted(newcomers, key=lambda pattern: (-sum(counts[pattern][:6]), pattern)):
            place = self.find(pattern)
            if place is None or self._widens(pattern, place):
                place = self._take(pattern, now)
            self._grow(place, counts[pattern], now)

    def _widens(self, pattern: str, place: str) -> bool:
        """Whether a pattern has the label of a place and more members: all words, not ids alone."""
        return label(pattern) == label(place) and WORD in decoded(pattern) and WORD not in decoded(place)

    def _grow(self, place: str, numbers: Sequence[int], now: int) -> None:
        total = self._stored[place]
        total["grown"] = max(total["grown"], now)
        total["counts"] = sum_rows((total["counts"], numbers))

    def _take(self, pattern: str, now: int) -> str:
        """A place for a pattern: of the same label, or at zero, or ``OTHER`` where there is no room."""
        same, template = self._by_label.get(label(pattern)), decoded(pattern)
        for part in [one for one in self._stored if one != same and within(decoded(one), template)]:
            del self._stored[part]
        if same is not None:
            self._stored[pattern] = self._stored.pop(same)
        else:
            if label(pattern) == OTHER_LABEL or not self._room(now):
                pattern = _OTHER
            self._stored.setdefault(pattern, {"since": now, "grown": now, "counts": []})
        self._index()
        return pattern

    def _room(self, now: int) -> bool:
        """Whether there is a place, or one that is quiet and was cleared."""
        taken = [pattern for pattern in self._stored if pattern != _OTHER]
        if len(taken) < MOST_PATTERNS:
            return True
        quietest = min(taken, key=lambda pattern: self._stored[pattern]["grown"])
        if self._stored[quietest]["grown"] > now - QUIET:
            return False
        del self._stored[quietest]
        return True


def grow(alias: str, told: Iterable[Mapping[str, Sequence[int]]], now: float) -> None:
    """Adds what processes counted to the totals of an alias; in the transaction that deletes what they wrote."""
    using = router.db_for_write(UsageTotal)
    row = UsageTotal.objects.using(using).filter(alias=alias).first() or UsageTotal(alias=alias)
    Places(row.totals).add(_together(told), int(now))
    row.save(using=using)


def read() -> dict[str, dict[str, Counts]]:
    """By alias and label, all that was counted since the totals began. Raises what a database raises that refuses."""
    using = router.db_for_read(Usage)
    with impatient(using, _PATIENCE), looking(using):
        pending = Usage.objects.using(using).filter(level=0)
        too_many = pending.order_by("pk").values_list("pk", flat=True)[MOST_PENDING : MOST_PENDING + 1]
        if first_left := too_many.first():
            pending = pending.filter(pk__lt=first_left)
        summed, waiting = Value(1, IntegerField()), Value(0, IntegerField())
        totals = UsageTotal.objects.using(using).order_by().values_list("alias", "totals", summed)
        rows = list(totals.union(pending.order_by().values_list("alias", "counts", waiting), all=True))
    stored = {alias: found for alias, found, is_total in rows if is_total}
    told: defaultdict[str, list[Mapping[str, Sequence[int]]]] = defaultdict(list)
    for alias, counts, is_total in rows:
        if not is_total:
            told[alias].append(counts)
    return {alias: dict(_labelled(found, _together(told[alias]))) for alias, found in stored.items()}


def label(pattern: str) -> str:
    """What a pattern is called, as on the pages. Templates that differ only in the kind of their stars share it."""
    return display(decoded(pattern)) if pattern != _OTHER else OTHER_LABEL


def _labelled(stored: dict[str, Place], pending: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Counts]]:
    """The totals, with what waits to be added to them. What has no place yet waits on: it may get one of its own."""
    places = Places(stored)
    numbers = {pattern: place["counts"] for pattern, place in stored.items()}
    for pattern, more in pending.items():
        if (place := places.find(pattern)) is not None:
            numbers[place] = sum_rows((numbers[place], more))
    for pattern, total in numbers.items():
        yield label(pattern), Counts(*total[: len(NAMES)])


def _together(told: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for counts in told:
        for pattern, numbers in counts.items():
            found[pattern] = sum_rows((found.get(pattern, ()), numbers))
    return found

"""When the keys of a report expire: the next hour by the clock, minute by minute, and the cliffs in it.

A cliff is a minute in which a large share of the cache, or of a large pattern, expires at once, so that the database
behind it gets the load of all of them together. Keys that are written all the time and live for the same length never
make one: of what is there at a moment, as many or more expire in an earlier minute than in a later one. So a minute is
held against those before it, from now on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext as _

from cache_admin.keyspace import estimates
from cache_admin.keyspace.report import SOON_MINUTES, Estimate, PatternStats, Report
from cache_admin.words import number

#: Least share of its keys that expires in a minute that is a cliff, and how many times as many as in those before.
CLIFF_SHARE = 0.2
CLIFF_RISE = 5
#: A pattern, or a whole alias, of fewer keys has no cliffs worth a word.
CLIFF_PATTERN_KEYS = 1_000
CLIFF_ALIAS_KEYS = 100
#: A pattern that makes up as much of an alias's cliff speaks for it.
SPEAKS_FOR = 0.8
#: Least part of the minute of the look that must have been left for its figure to be worth something.
_LEAST_PART = 0.25


@dataclass(frozen=True, slots=True)
class PatternForecast:
    """Keys of one pattern that expire, by minute, and in all of them. Estimates where not every key was asked."""

    stats: PatternStats
    minutes: tuple[Estimate, ...]
    total: Estimate

    @property
    def fullest(self) -> int:
        """The minute in which most expire, as an index."""
        return max(range(len(self.minutes)), key=lambda i: self.minutes[i].value)


@dataclass(frozen=True, slots=True)
class Cliff:
    """One minute, or some in a row, in which very many keys expire."""

    start: float  #: Unix time at which the first of its minutes begins
    minutes: int
    keys: Estimate
    share: float  #: of the keys of the pattern or alias, 0 to 1
    stats: PatternStats  #: the pattern, or the one that has most of an alias's cliff
    whole_alias: bool

    @property
    def when(self) -> str:
        """ "at 14:00", or "between 13:59 and 14:01" """
        if self.minutes == 1:
            return _("at %(moment)s") % {"moment": clock(self.start)}
        end = clock(self.start + 60 * self.minutes)
        return _("between %(start)s and %(end)s") % {"start": clock(self.start), "end": end}

    @property
    def sentence(self) -> str:
        """ "18,000 keys of catalog:* expire at 14:00, 62 % of the pattern." """
        words = {
            "keys": number(self.keys.value, exact=self.keys.exact),
            "pattern": self.stats.pattern,
            "when": self.when,
            "share": f"{number(self.share * 100)}\u00a0%",
        }
        if self.whole_alias:
            return _("%(keys)s keys expire %(when)s, %(share)s of this cache; most of them are %(pattern)s.") % words
        return _("%(keys)s keys of %(pattern)s expire %(when)s, %(share)s of the pattern.") % words


@dataclass(frozen=True, slots=True)
class Forecast:
    """``minutes[i]`` is how many keys of the alias expire in the minute that begins at ``start + 60 * i``.

    It reaches an hour beyond the look that it stands on, so it has fewer minutes the older that is, and none after an
    hour. ``unasked`` is the share of keys, 0 to 1, of whose patterns no expiry could be asked.
    """

    alias: str
    at: float  #: Unix time for which it was made
    looked: float  #: Unix time at which the report that it stands on began
    start: float
    minutes: tuple[Estimate, ...]
    total: Estimate
    patterns: tuple[PatternForecast, ...]  #: those of which keys expire, most first
    cliffs: tuple[Cliff, ...]  #: soonest first
    unasked: float


def clock(moment: float) -> str:
    """A Unix time as hours and minutes in the current time zone."""
    return time_format(datetime.fromtimestamp(moment, tz=timezone.get_current_timezone()), "H:i")


def of(report: Report, now: float | None = None) -> Forecast:
    """What a report says of the hour to come. ``now`` is a Unix time, by default this moment."""
    now = time.time() if now is None else now
    began = int(report.started // 60)
    first = min(max(0, int(now // 60) - began), SOON_MINUTES)
    every = [*report.patterns, *([report.other] if report.other else [])]
    found = [_pattern(stats, first) for stats in every if any(minute >= first for minute, _count in stats.soon)]
    found.sort(key=lambda one: (-one.total.value, one.stats.pattern))
    minutes = tuple(estimates.total([one.minutes[i] for one in found]) for i in range(SOON_MINUTES - first))
    start = 60.0 * (began + first)
    return Forecast(
        alias=report.alias,
        at=now,
        looked=report.started,
        start=start,
        minutes=minutes,
        total=estimates.total([one.total for one in found]),
        patterns=tuple(found),
        cliffs=_cliffs(report, found, minutes, start),
        unasked=report.unasked,
    )


def _pattern(stats: PatternStats, first: int) -> PatternForecast:
    soon = dict(stats.soon)
    ahead = range(first, SOON_MINUTES)
    return PatternForecast(
        stats, tuple(_keys(stats, soon.get(i, 0)) for i in ahead), _keys(stats, sum(soon.get(i, 0) for i in ahead))
    )


def _keys(stats: PatternStats, number: int) -> Estimate:
    """Keys of a pattern for which ``number`` of its probed ones stand."""
    share, keys = estimates.share(number, stats.probed, stats.keys.value), stats.keys
    exact = share.exact and keys.exact
    return Estimate(share.value * keys.value, share.low * keys.low, share.high * keys.high, exact)


def _cliffs(
    report: Report, found: Sequence[PatternForecast], minutes: Sequence[Estimate], start: float
) -> tuple[Cliff, ...]:
    looked = report.started + report.seconds
    # Of the minute in which the look ended, it saw only what was left.
    part = 1 - (looked - start) / 60 if looked > start else 1.0
    cliffs: list[Cliff] = []
    for one in found:
        if one.stats.keys.value >= CLIFF_PATTERN_KEYS and one.stats is not report.other:
            for i, number in _peaks(one.minutes, one.stats.keys.value, part):
                counted = sum(dict(one.stats.soon).get(SOON_MINUTES - len(minutes) + i + k, 0) for k in range(number))
                keys = _keys(one.stats, counted)
                share = keys.value / one.stats.keys.value
                cliffs.append(Cliff(start + 60 * i, number, keys, share, one.stats, whole_alias=False))
    own = report.own_keys.value
    for i, number in _peaks(minutes, own, part) if own >= CLIFF_ALIAS_KEYS else ():
        keys = estimates.total(minutes[i : i + number])
        spoken = (cliff for cliff in cliffs if cliff.start < start + 60 * (i + number))
        spoken = (cliff for cliff in spoken if cliff.start + 60 * cliff.minutes > start + 60 * i)
        if not any(cliff.keys.value >= SPEAKS_FOR * keys.value for cliff in spoken):
            most = max(found, key=_within(i, number)).stats
            cliffs.append(Cliff(start + 60 * i, number, keys, keys.value / own, most, whole_alias=True))
    return tuple(sorted(cliffs, key=lambda cliff: (cliff.start, -cliff.keys.value)))


def _within(i: int, number: int) -> Callable[[PatternForecast], float]:
    return lambda one: sum(minute.value for minute in one.minutes[i : i + number])


def _peaks(minutes: Sequence[Estimate], keys: float, part: float) -> list[tuple[int, int]]:
    """First index and number of the minutes, next to each other, that are cliffs. ``part`` is how much of the first
    minute was still to come."""
    rates = [minute.value for minute in minutes]
    if rates:
        rates[0] /= max(part, _LEAST_PART)
    skipped = 1 if part < _LEAST_PART else 0
    peaks: list[tuple[int, int]] = []
    for i in range(skipped + 1, len(minutes)):
        minute = minutes[i]
        large = minute.value >= CLIFF_SHARE * keys and minute.low >= CLIFF_SHARE * keys / 2
        if not large or minute.value < CLIFF_RISE * median(rates[skipped:i]):
            continue
        if peaks and sum(peaks[-1]) == i:
            peaks[-1] = peaks[-1][0], peaks[-1][1] + 1
        else:
            peaks.append((i, 1))
    return peaks

"""What the application asked of one alias in the last hour, and in the day before it; for findings and for limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cache_admin import conf
from cache_admin.monitoring import rates, rollup
from cache_admin.monitoring.rates import AliasUsage
from cache_admin.monitoring.usage import OTHER, ByPattern, Counts

STEP = 600
#: Points of the last hour, of which the last one may not be over yet, and of all.
HOUR_POINTS, POINTS = 6, 25 * 6


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts by pattern; those that found no place of their own are under ``usage.OTHER``.

    Figures are estimates where only a share of the operations is counted; :meth:`seen` tells how many that were.
    """

    hour: Mapping[bytes, Counts] = field(default_factory=dict)
    before: Mapping[bytes, Counts] = field(default_factory=dict)
    hours_before: float = 0.0  #: since the first count of the day before
    share: float = 1.0  #: of all operations that is counted
    note: str = ""  #: why nothing is known, in words

    def seen(self, number: float) -> float:
        """How many of ``number`` operations were really counted: what a threshold must look at."""
        return number * self.share

    def patterns(self) -> Iterable[tuple[bytes, Counts, Counts]]:
        """Template, counts of the last hour and of the time before it, of patterns with a name."""
        for template in {**self.hour, **self.before}:
            if template != OTHER:
                yield template, self.hour.get(template, Counts()), self.before.get(template, Counts())

    def whole(self) -> tuple[Counts, Counts]:
        """All patterns together: in the last hour, and before it."""
        hour, before = Counts(), Counts()
        for target, source in ((hour, self.hour), (before, self.before)):
            for one in source.values():
                target.add(one)
        return hour, before


def read(alias: str, now: float) -> Counted:
    """The counts of an alias up to a Unix time. A database that refuses gives empty ones with a ``note``."""
    usage = rates.between(alias, now - POINTS * STEP, now, STEP)
    split = len(usage.at) - HOUR_POINTS
    hour, before = _sums(usage, split, len(usage.at)), _sums(usage, 0, split)
    known = [i for pattern in usage.patterns for i, point in enumerate(pattern.points[:split]) if point is not None]
    hours = (split - min(known)) * STEP / 3_600 if known else 0.0
    return Counted(hour, before, hours, conf.current().RECORDING_SHARE, usage.note)


def since(alias: str, start: float, now: float) -> Mapping[bytes, Counts]:
    """The counts from a Unix time on, from the first whole step after it; steps are as fine as they are kept.

    Raises :class:`LookupError` in words where the database refuses.
    """
    step = next((level for level, kept in rollup.LEVELS if now - start < kept), rollup.LEVELS[-1][0])
    first = -int(-start // step) * step
    last = int(now) - int(now) % step
    if last < first:
        return {}
    usage = rates.between(alias, first, last + step - 1, step)
    if usage.note:
        raise LookupError(usage.note)
    return {pattern.template: pattern.total for pattern in usage.patterns}


def _sums(usage: AliasUsage, start: int, stop: int) -> ByPattern:
    found: ByPattern = {}
    for pattern in usage.patterns:
        rows = [row for row in pattern.points[start:stop] if row is not None]
        if rows:
            total = found[pattern.template] = Counts()
            for row in rows:
                total.add(Counts(*row))
    return found

"""What the application asked of one alias in the last hour, and in the day before it; for findings and for limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest

from cache_admin import conf
from cache_admin.monitoring import rates, rollup
from cache_admin.monitoring.rates import AliasUsage
from cache_admin.monitoring.usage import OTHER, ByPattern, Counts, total

#: Seconds of a point of the last hours, and of the day before them; how many of the former are the last hour, the last
#: of which may not be over yet.
FINE, COARSE, HOUR_POINTS, HOURS = 600, 3_600, 6, 24


@dataclass(frozen=True)
class Counted:
    """Counts by pattern; those that found no place of their own are under ``usage.OTHER``.

    Figures are estimates where only a share of the operations is counted; :meth:`seen` tells how many that were.
    """

    hour: Mapping[bytes, Counts] = field(default_factory=dict)
    before: Mapping[bytes, Counts] = field(default_factory=dict)  #: of the day before that hour
    hours_before: float = 0.0  #: since the first count of that day
    share: float = 1.0  #: of all operations that is counted
    note: str = ""  #: why nothing is known, in words

    def seen(self, number: float) -> float:
        """How many of ``number`` operations were really counted: what a threshold must look at."""
        return number * self.share

    def patterns(self) -> Iterable[tuple[bytes, Counts, Counts]]:
        """Template, counts of the last hour and of the time before it, of patterns with a name."""
        for template in {**self.hour, **self.before}:
            if template != OTHER:
                yield template, self.hour.get(template, _NOTHING), self.before.get(template, _NOTHING)

    @cached_property
    def whole(self) -> tuple[Counts, Counts]:
        """All patterns together: in the last hour, and before it."""
        return total(self.hour.values()), total(self.before.values())


_NOTHING = Counts()


def read(alias: str, now: float) -> Counted:
    """The counts of an alias up to a Unix time. A database that refuses gives empty ones with a ``note``."""
    edge = int(now - COARSE) // COARSE * COARSE
    last = int(now) // FINE * FINE
    day = rates.between(alias, edge - HOURS * COARSE, edge - 1, COARSE)
    recent = rates.between(alias, edge, last + FINE - 1, FINE)
    split = len(recent.at) - HOUR_POINTS
    before = _rows(day, 0, len(day.at))
    for template, rows in _rows(recent, 0, split).items():
        before.setdefault(template, []).extend(rows)
    known = [at for usage in (day, recent) for at in _met(usage) if at <= recent.at[split - 1]]
    hours = (recent.at[split - 1] - min(known) + COARSE) / COARSE if known and split else 0.0
    return Counted(
        hour=_sums(_rows(recent, split, len(recent.at))),
        before=_sums(before),
        hours_before=min(hours, float(HOURS)),
        share=conf.current().RECORDING_SHARE,
        note=day.note or recent.note,
    )


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


Rows = dict[bytes, list[Sequence[int]]]


def _rows(usage: AliasUsage, start: int, stop: int) -> Rows:
    """The stored counts of some points, by template."""
    found: Rows = {}
    for pattern in usage.patterns:
        if rows := [row for row in pattern.points[start:stop] if row is not None]:
            found[pattern.template] = rows
    return found


def _sums(rows: Rows) -> ByPattern:
    return {template: Counts(*map(sum, zip_longest(*some, fillvalue=0))) for template, some in rows.items()}


def _met(usage: AliasUsage) -> list[float]:
    """The points in which anything was counted."""
    met = {i for pattern in usage.patterns for i, point in enumerate(pattern.points) if point is not None}
    return [usage.at[i] for i in met]

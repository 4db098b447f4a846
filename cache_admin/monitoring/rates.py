"""What the application asked of an alias over a span of time, per pattern: totals and even series."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, transaction
from django.utils.translation import gettext as _

from cache_admin.models import Usage
from cache_admin.monitoring import rollup
from cache_admin.monitoring.rollup import Numbers
from cache_admin.monitoring.spans import Span
from cache_admin.monitoring.usage import Counts, decoded
from cache_admin.patterns import WORD, split

#: Seconds of a point, by the span: each a level of ``rollup.LEVELS``.
STEPS: dict[str, int] = {"15m": 60, "1h": 60, "6h": 600, "24h": 600, "7d": 3_600, "30d": 21_600}

Row = Sequence[int]


@dataclass(frozen=True, slots=True)
class PatternUsage:
    """One pattern. ``points`` are its stored counts by point, ``None`` where nothing was asked."""

    template: bytes
    total: Counts
    points: tuple[Row | None, ...]

    @property
    def hit_rates(self) -> tuple[float | None, ...]:
        """Hit rate of each point, 0 to 1; ``None`` without look-ups."""
        return tuple(None if row is None else _rate([row]) for row in self.points)

    @property
    def trend(self) -> float | None:
        """Hit rate of the later half of the span less that of the earlier one, -1 to 1; ``None`` where either had no
        look-ups."""
        middle = len(self.points) // 2
        before, after = (_rate(filter(None, half)) for half in (self.points[:middle], self.points[middle:]))
        return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True)
class AliasUsage:
    """One alias over a span. ``at`` are the Unix times at the end of each point, oldest first."""

    alias: str
    at: tuple[float, ...]
    step: int  #: seconds of a point
    patterns: tuple[PatternUsage, ...]  #: by look-ups, most first; ``usage.OTHER`` among them
    note: str = ""  #: why nothing is known, in words

    @property
    def total(self) -> Counts:
        """All patterns together."""
        found = Counts()
        for pattern in self.patterns:
            found.add(pattern.total)
        return found

    @property
    def hit_rates(self) -> tuple[float | None, ...]:
        """Hit rate of each point, all patterns together."""
        columns = zip(*(pattern.points for pattern in self.patterns), strict=True)
        rates = tuple(_rate(filter(None, column)) for column in columns)
        return rates or (None,) * len(self.at)

    def series(self, value: Callable[[Counts], float | None]) -> tuple[float | None, ...]:
        """A figure of all patterns together, point by point; ``None`` where nothing was asked."""
        made = []
        for column in zip(*(pattern.points for pattern in self.patterns), strict=True):
            rows = [row for row in column if row is not None]
            made.append(value(Counts(*_sum(rows))) if rows else None)
        return tuple(made) or (None,) * len(self.at)

    def of(self, template: bytes) -> PatternUsage | None:
        """The pattern of a template, or ``None``."""
        return next((pattern for pattern in self.patterns if pattern.template == template), None)


def usage(alias: str, span: Span, *, now: float | None = None) -> AliasUsage:
    """The last ``span`` of an alias. A missing table or a locked database gives an empty one whose ``note`` says so."""
    now = time.time() if now is None else now
    step = STEPS[span.slug]
    return between(alias, now - span.seconds, now, step)


def between(alias: str, start: float, stop: float, step: int) -> AliasUsage:
    """From one Unix time to another, in points of ``step`` seconds, the last of which may not be over yet.

    ``step`` is a level of ``rollup.LEVELS``.
    """
    last = int(stop) - int(stop) % step
    first = last - max(1, round((stop - start) / step)) * step + step
    at = tuple(float(moment + step) for moment in range(first, last + step, step))
    try:
        with transaction.atomic():
            points = _points(alias, first, last, step)
    except DatabaseError:
        return AliasUsage(alias, at, step, (), _("Counts are off: the database is locked, or its tables are missing."))
    return AliasUsage(alias, at, step, tuple(_patterns(points)))


def _points(alias: str, first: int, last: int, step: int) -> list[Numbers]:
    """The stored counts of each point: rows of its own level, and finer ones after the last of these."""
    points: list[Numbers] = [{} for _ in range(first, last + step, step)]
    since = first
    levels = [level for level, _kept in reversed(rollup.LEVELS) if level <= step]
    for level in (*levels, 0):
        rows = Usage.objects.filter(level=level, alias=alias, at__gte=since, at__lt=last + step)
        for at, counts in rows.order_by("at").values_list("at", "counts"):
            point = points[(at - first) // step]
            for pattern, numbers in counts.items():
                rollup.add(point, pattern, numbers)
            if level:
                since = max(since, at + level)
    return points


def _patterns(points: Sequence[Numbers]) -> list[PatternUsage]:
    names = list(dict.fromkeys(pattern for point in points for pattern in point))
    into = wider([decoded(name) for name in names])
    by_template: dict[bytes, list[list[int] | None]] = {}
    for name in names:
        template = decoded(name)
        rows = by_template.setdefault(into.get(template, template), [None] * len(points))
        for i, point in enumerate(points):
            if (numbers := point.get(name)) is not None:
                rows[i] = numbers if rows[i] is None else _sum([rows[i] or (), numbers])
    found = [
        PatternUsage(template, Counts(*_sum([row for row in rows if row is not None])), tuple(rows))
        for template, rows in by_template.items()
    ]
    return sorted(found, key=lambda one: (-one.total.lookups, -one.total.operations, one.template))


def wider(templates: Sequence[bytes]) -> dict[bytes, bytes]:
    """Templates to the ones with a word-star that they are part of: one process may fold what another tells apart."""
    parts = {template: split(template) for template in templates}
    wide = [(template, *parts[template]) for template in templates if WORD in template]
    into: dict[bytes, bytes] = {}
    for template, (separator, segments) in parts.items():
        for other, other_separator, general in wide:
            if (
                other != template
                and other_separator == separator
                and len(general) == len(segments)
                and all(one in (WORD, mine) for one, mine in zip(general, segments, strict=True))
            ):
                into[template] = other
                break
    return into


def _rate(rows: Iterable[Row]) -> float | None:
    hits = lookups = 0
    for row in rows:
        found = row[0] if row else 0
        hits += found
        lookups += found + (row[1] if len(row) > 1 else 0)
    return hits / lookups if lookups else None


def _sum(rows: Sequence[Row]) -> list[int]:
    total = [0] * max(map(len, rows), default=0)
    for row in rows:
        for place, number in enumerate(row):
            total[place] += number
    return total

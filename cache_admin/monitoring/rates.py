"""What the application asked of an alias over a span of time, per pattern: totals and even series."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db import router
from django.db.models import Max, Q
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.models import Usage
from cache_admin.monitoring import rollup
from cache_admin.monitoring.database import REFUSALS, looking, refused
from cache_admin.monitoring.spans import Span
from cache_admin.monitoring.usage import OTHER, Counts, decoded, sum_rows, total
from cache_admin.patterns import WORD, split, within

#: Seconds of a point, by the span: each a level of ``rollup.LEVELS``.
STEPS: dict[str, int] = {"15m": 60, "1h": 60, "6h": 600, "24h": 600, "7d": 3_600, "30d": 21_600}
#: Points of half a trend that began within the span.
LEAST_HALF = 3

Row = Sequence[int]
Numbers = dict[str, Row]
Points = tuple[Row | None, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The look-ups of a part of the span."""

    hits: int
    lookups: int

    @property
    def hit_rate(self) -> float | None:
        return self.hits / self.lookups if self.lookups else None


@dataclass(frozen=True, slots=True)
class PatternUsage:
    """One pattern. ``points`` are its stored counts by point, ``None`` where nothing was asked."""

    template: bytes
    total: Counts
    points: Points

    @property
    def hit_rates(self) -> tuple[float | None, ...]:
        """Hit rate of each point, 0 to 1; ``None`` without look-ups."""
        return self.hit_rates_of(len(self.points))

    def hit_rates_of(self, most: int) -> tuple[float | None, ...]:
        """The same, of so many points at most: of neighbours together."""
        step = -(-len(self.points) // most)
        hits, lookups = self._columns()
        sums = ((sum(hits[i : i + step]), sum(lookups[i : i + step])) for i in range(0, len(hits), step))
        return tuple(found / asked if asked else None for found, asked in sums)

    @property
    def halves(self) -> tuple[Stretch, Stretch]:
        """The earlier and the later half of the span, from the first look-up on: what began lately would else have a
        trend only after half of the span. Both are of ``LEAST_HALF`` points at least, or of halves of the whole span.
        """
        hits, lookups = self._columns()
        first = next((i for i, asked in enumerate(lookups) if asked), 0)
        length = len(self.points) - first
        middle = first + length // 2 if length >= 2 * LEAST_HALF else len(self.points) // 2
        return (
            Stretch(sum(hits[:middle]), sum(lookups[:middle])),
            Stretch(sum(hits[middle:]), sum(lookups[middle:])),
        )

    def _columns(self) -> tuple[list[int], list[int]]:
        """Hits and look-ups of each point."""
        hits = [row[0] if row else 0 for row in self.points]
        return hits, [row[0] + row[1] if row and len(row) > 1 else hits[i] for i, row in enumerate(self.points)]

    @property
    def trend(self) -> float | None:
        """Hit rate of the later half less that of the earlier one, see :attr:`halves`, -1 to 1; ``None`` where either
        had no look-ups."""
        before, after = (half.hit_rate for half in self.halves)
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class AliasUsage:
    """One alias over a span. ``at`` are the Unix times at the end of each point, oldest first."""

    alias: str
    at: tuple[float, ...]
    step: int  #: seconds of a point
    patterns: tuple[PatternUsage, ...]  #: by look-ups, most first; ``usage.OTHER`` among them
    stop: float = math.inf  #: Unix time up to which is counted, which may lie before the end of the last point
    note: str = ""  #: why nothing is known, in words

    @cached_property
    def whole(self) -> PatternUsage:
        """All patterns together, under the template ``usage.OTHER``; its points hold hits and misses alone."""
        columns = zip(*(pattern.points for pattern in self.patterns), strict=True)
        points = tuple(_hits_and_misses(column) for column in columns)
        return PatternUsage(OTHER, total(one.total for one in self.patterns), points or (None,) * len(self.at))

    @property
    def total(self) -> Counts:
        """All patterns together."""
        return self.whole.total

    @property
    def lost(self) -> float | None:
        """Seconds that misses cost, of the patterns whose rebuilds are known; ``None`` where none is."""
        known = [pattern.total.lost for pattern in self.patterns if pattern.total.lost is not None]
        return sum(known) if known else None

    @property
    def lost_exact(self) -> bool:
        """Whether all of those misses were seen to be rebuilt; else they are taken for as long as those that were."""
        return all(one.total.misses == one.total.rebuilds for one in self.patterns if one.total.rebuilds)

    @property
    def hit_rates(self) -> tuple[float | None, ...]:
        """Hit rate of each point, all patterns together."""
        return self.whole.hit_rates

    @property
    def seconds(self) -> tuple[float, ...]:
        """How long each point is so far."""
        return tuple(min(self.step, self.stop - end + self.step) for end in self.at)

    def series(self, value: Callable[[Counts], float | None]) -> tuple[float | None, ...]:
        """A figure of hits and misses, of all patterns together, point by point; ``None`` where nothing was asked."""
        return tuple(None if row is None else value(Counts(*row)) for row in self.whole.points)

    def of(self, template: bytes) -> PatternUsage | None:
        """The pattern of a template, or ``None``."""
        return self._by_template.get(template)

    def about(self, template: bytes) -> PatternUsage | None:
        """What is known of a template of another count, which may tell keys apart that this one folds: the pattern
        itself, else its parts together, else the pattern that it is part of."""
        if (found := self.of(template)) or template == OTHER:
            return found
        if WORD in template:
            parts = [pattern for pattern in self.patterns if within(pattern.template, template)]
            if parts:
                return _together(template, parts, len(self.at))
        return next((wide for wide in self._wide if within(template, wide.template)), None)

    @cached_property
    def _by_template(self) -> dict[bytes, PatternUsage]:
        return {pattern.template: pattern for pattern in self.patterns}

    @cached_property
    def _wide(self) -> tuple[PatternUsage, ...]:
        return tuple(pattern for pattern in self.patterns if WORD in pattern.template)


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
        with looking(router.db_for_read(Usage)):
            points = _points(alias, first, last, step)
    except REFUSALS as error:
        return AliasUsage(alias, at, step, (), stop, _("Counts are off: %(why)s") % {"why": refused(error)})
    return AliasUsage(alias, at, step, tuple(_patterns(points)), stop)


def not_counted(alias: str) -> str:
    """Why this process counts nothing of an alias, in words; "" if it does."""
    given = conf.current()
    if not given.RECORDING:
        return _("Recording is off: CACHE_ADMIN has RECORDING = False. Set it to True and start the site anew.")
    if given.RECORDED_ALIASES is not None and alias not in given.RECORDED_ALIASES:
        return _("This cache is not counted: add it to RECORDED_ALIASES in CACHE_ADMIN and start the site anew.")
    return ""


def _points(alias: str, first: int, last: int, step: int) -> list[Numbers]:
    """The stored counts of each point: rows of its own level, and finer ones after the last of these.

    One statement reads them all, so that what another process sums up meanwhile is met once.
    """
    points: list[list[Numbers]] = [[] for _ in range(first, last + step, step)]
    levels = [level for level, _kept in reversed(rollup.LEVELS) if level <= step]
    rows = Usage.objects.filter(alias=alias, at__gte=first, at__lt=last + step)
    newest = dict(rows.filter(level__in=levels).order_by().values_list("level").annotate(Max("at")))
    wanted, since = Q(), first
    for level in (*levels, 0):
        wanted |= Q(level=level, at__gte=since)
        since = max(since, newest.get(level, first - level) + level)
    since = covered = first
    current = step
    found = rows.filter(wanted).order_by("-level", "at").values_list("level", "at", "counts")
    for level, at, counts in found.iterator():
        if level != current:
            since, current = covered, level
        if at < since:
            continue
        covered = max(covered, at + level)
        # Read one by one into tuples, which the collector of garbage forgets: it would look at so many lists again and
        # again, and at all that the process has with them.
        points[(at - first) // step].append({pattern: tuple(numbers) for pattern, numbers in counts.items()})
    return [_merged(point) for point in points]


def _merged(rows: Sequence[Numbers]) -> Numbers:
    if len(rows) == 1:
        return rows[0]
    by_pattern: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for pattern, numbers in row.items():
            by_pattern[pattern].append(numbers)
    return {pattern: sum_rows(numbers) for pattern, numbers in by_pattern.items()}


def _patterns(points: Sequence[Numbers]) -> list[PatternUsage]:
    columns: dict[str, list[Row | None]] = {}
    for i, point in enumerate(points):
        for name, numbers in point.items():
            if name not in columns:
                columns[name] = [None] * len(points)
            columns[name][i] = numbers
    into = wider([decoded(name) for name in columns])
    by_template: dict[bytes, list[Row | None]] = {}
    for name, rows in columns.items():
        template = decoded(name)
        target = into.get(template, template)
        if (before := by_template.get(target)) is not None:
            rows = [sum_rows(filter(None, pair)) or None for pair in zip(before, rows, strict=True)]
        by_template[target] = rows
    found = [_pattern(template, rows) for template, rows in by_template.items()]
    return sorted(found, key=lambda one: (-one.total.lookups, -one.total.operations, one.template))


def _pattern(template: bytes, rows: Sequence[Row | None]) -> PatternUsage:
    return PatternUsage(template, Counts(*sum_rows(filter(None, rows))), tuple(rows))


def _together(template: bytes, patterns: Sequence[PatternUsage], points: int) -> PatternUsage:
    if len(patterns) == 1:
        return PatternUsage(template, patterns[0].total, patterns[0].points)
    columns = zip(*(pattern.points for pattern in patterns), strict=True)
    rows = [sum_rows(filter(None, column)) or None for column in columns]
    return _pattern(template, rows or [None] * points)


def wider(templates: Sequence[bytes]) -> dict[bytes, bytes]:
    """Templates to the ones with a word-star that they are part of: one process may fold what another tells apart."""
    wide: defaultdict[tuple[bytes, int], list[tuple[bytes, list[tuple[int, bytes]]]]] = defaultdict(list)
    into: dict[bytes, bytes] = {}
    shapes = [(template, *split(template)) for template in templates]
    for template, separator, segments in shapes:
        if WORD in template:
            fixed = [(i, segment) for i, segment in enumerate(segments) if segment != WORD]
            wide[separator, len(segments)].append((template, fixed))
    for template, separator, segments in shapes:
        for other, fixed in wide.get((separator, len(segments)), ()):
            if other != template and all(segments[i] == segment for i, segment in fixed):
                into[template] = other
                break
    return into


def _hits_and_misses(rows: Sequence[Row | None]) -> Row | None:
    known = [row for row in rows if row]
    if not known:
        return None
    return [sum([row[0] for row in known]), sum([row[1] for row in known if len(row) > 1])]

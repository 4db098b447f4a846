"""What the application asked of a cache, as charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.utils.translation import gettext as _

from cache_admin.monitoring import flushing
from cache_admin.monitoring.history import Series
from cache_admin.monitoring.marks import Mark
from cache_admin.monitoring.rates import AliasUsage, PatternUsage
from cache_admin.monitoring.usage import Counts
from cache_admin.panels.charts import Chart, Line

#: Seconds that a point must be long to have a rate.
LEAST = 3 * flushing.EVERY


def hit_rate(usage: AliasUsage, marks: Sequence[Mark] = ()) -> Chart:
    """The hit rate of all patterns together."""
    return Chart("percent", (Line(_("Hit rate"), usage.hit_rates),), usage.at, tuple(marks), top=100)


def lookups(usage: AliasUsage, marks: Sequence[Mark] = ()) -> Chart:
    """Look-ups per second, and the misses among them."""
    lines = (
        Line(_("Look-ups"), _per_second(usage, lambda counts: counts.lookups)),
        Line(_("Misses"), _per_second(usage, lambda counts: counts.misses)),
    )
    return Chart("rate", lines, usage.at, tuple(marks))


def _per_second(usage: AliasUsage, number: Callable[[Counts], int]) -> Series:
    """A point that has just begun says nothing yet: processes write late."""
    counted = zip(usage.series(number), usage.seconds, strict=True)
    return tuple(None if value is None or seconds < LEAST else value / seconds for value, seconds in counted)


def hits_and_misses(usage: AliasUsage, one: PatternUsage, marks: Sequence[Mark] = ()) -> Chart:
    """The look-ups of one pattern in each point, hits and misses on each other."""
    hits, misses = (
        tuple(None if row is None else float(row[place] if len(row) > place else 0) for row in one.points)
        for place in (0, 1)
    )
    lines = (Line(_("Hits"), hits), Line(_("Misses"), misses))
    return Chart("count", lines, usage.at, tuple(marks), stacked=True)

"""Whether a pattern is worth being cached, from what was asked of it. Pure."""

from __future__ import annotations

from statistics import median
from typing import Literal

from cache_admin.monitoring.rates import PatternUsage
from cache_admin.monitoring.usage import NAMES

#: Sets below which nothing is said.
LEAST = 20
#: Sets for each look-up from which a pattern is written for nobody.
WRITE_ONLY = 10
_HITS, _SETS = NAMES.index("hits"), NAMES.index("sets")

Doubt = Literal["write_only", "read_once", ""]


def doubt(one: PatternUsage) -> Doubt:
    """``write_only``: written far more often than looked up. ``read_once``: in the middle of the points in which it
    was written, a value was found less than once."""
    if one.total.sets < LEAST:
        return ""
    if one.total.lookups * WRITE_ONLY <= one.total.sets:
        return "write_only"
    reads = reads_per_write(one)
    return "read_once" if reads is not None and reads < 1 else ""


def reads_per_write(one: PatternUsage) -> float | None:
    """How often a value was found after it was written: the median of the points in which there were sets."""
    found = [row[_HITS] / row[_SETS] for row in one.points if row and len(row) > _SETS and row[_SETS]]
    return median(found) if found else None

"""Counts of processes into those of all, minutes into tens of minutes, hours and quarters of a day; bounded for ever.

One process of all does it at a time, by a lease; and it does no harm if two do: what was summed up is deleted in the
same transaction, and whoever finds less to delete than it has summed takes all of it back. Longer stretches are summed
up as soon as they are over, so a chart of any span reads only rows of its own level and the few of the stretch that is
not over yet.
"""

from __future__ import annotations

import itertools
import logging
import operator
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError, models, router, transaction

from cache_admin.models import Usage
from cache_admin.monitoring import leases, totals
from cache_admin.monitoring.stampedes import met
from cache_admin.monitoring.usage import OTHER, encoded

logger = logging.getLogger(__name__)

MINUTE, HOUR, DAY = 60, 3_600, 86_400
#: Seconds of a stretch and for how many seconds it is kept, finest first.
LEVELS: tuple[tuple[int, int], ...] = (
    (MINUTE, 3 * HOUR),
    (10 * MINUTE, 26 * HOUR),
    (HOUR, 8 * DAY),
    (6 * HOUR, 35 * DAY),
)
EVERY = 20.0  #: seconds between two runs
#: Seconds after its end at which a stretch is summed up: by then all processes have written.
MARGIN = 45
#: Rows that are read, or deleted, at once.
CHUNK = 500
#: Patterns of a stretch; the smaller ones beyond it go under ``usage.OTHER``.
MOST_PATTERNS = 500

_LEASE = "usage"
Numbers = dict[str, list[int]]


class _Raced(Exception):
    """Another process has summed up the same rows."""


def run(now: float | None = None) -> None:
    """Sums up what is over, and trims. Does nothing while another process does, or where the database refuses."""
    now = time.time() if now is None else now
    if not leases.hold(_LEASE, 3 * EVERY):
        return
    try:
        while _minutes(now):
            pass
        for (fine, _kept), (level, _) in itertools.pairwise(LEVELS):
            _coarsen(fine, level, now)
        for level, kept in LEVELS:
            _trim(level, kept, now)
    except _Raced:
        logger.debug("Another process sums up the counts of the caches.")
    except (DatabaseError, InterfaceError):
        logger.warning("The counts of the caches could not be summed up; trying again later.", exc_info=True)


def summed(counts: Iterable[Numbers]) -> Numbers:
    """The sum of stored counts, by pattern, with the smallest patterns under ``usage.OTHER`` if there are many."""
    total: Numbers = {}
    for one in counts:
        for pattern, numbers in one.items():
            add(total, pattern, numbers)
    if len(total) > MOST_PATTERNS:
        by_size = sorted(total, key=lambda pattern: sum(total[pattern][:6]), reverse=True)
        for pattern in by_size[MOST_PATTERNS - 1 :]:
            if pattern != encoded(OTHER):
                add(total, encoded(OTHER), total.pop(pattern))
    return total


def add(total: Numbers, pattern: str, numbers: Sequence[int]) -> None:
    """Adds the numbers of a pattern to its total."""
    have = total.get(pattern)
    if have is None:
        total[pattern] = [*numbers]
        return
    if len(numbers) > len(have):
        have.extend([0] * (len(numbers) - len(have)))
    have[: len(numbers)] = map(operator.add, have, numbers)


def _stored() -> models.QuerySet[Usage]:
    """The counts where they are written: a replica may not show yet what is to be added to, or has just gone."""
    return Usage.objects.using(router.db_for_write(Usage))


def _minutes(now: float) -> bool:
    """What processes wrote in minutes that are over, into those minutes; whether there may be more of it."""
    with transaction.atomic(using=router.db_for_write(Usage)):
        rows = list(_stored().filter(level=0, at__lt=_over(now, MINUTE)).order_by("at", "pk")[:CHUNK])
        if not rows:
            return False
        groups: defaultdict[tuple[str, int], list[Usage]] = defaultdict(list)
        told: defaultdict[str, list[Numbers]] = defaultdict(list)
        for row in rows:
            groups[row.alias, row.at - row.at % MINUTE].append(row)
            told[row.alias].append(row.counts)
        for (alias, at), members in groups.items():
            place: Any = {"level": MINUTE, "alias": alias, "at": at, "source": ""}
            before = _stored().filter(**place).first()
            counts = summed([*([before.counts] if before else []), *(row.counts for row in members)])
            wasted = met([(row.source.partition("#")[0], row.rebuilds) for row in members if row.rebuilds])
            wasted = {pattern: numbers for pattern, numbers in wasted.items() if pattern in counts}
            for pattern, numbers in wasted.items():
                add(counts, pattern, numbers)
            told[alias].append(wasted)
            _stored().update_or_create(**place, defaults={"counts": counts})
        for alias in sorted(told):
            totals.grow(alias, told[alias], now)
        deleted, _by_model = _stored().filter(pk__in=[row.pk for row in rows]).delete()
        if deleted != len(rows):
            raise _Raced
        return len(rows) == CHUNK


def _coarsen(fine: int, level: int, now: float) -> None:
    """Stretches of ``level`` seconds that are over and not summed up yet, from finer ones."""
    end = _over(now, level)
    done = _stored().filter(level=level).order_by("-at").values_list("at", flat=True).first()
    start = done + level if done is not None and done < end else None
    rows = _stored().filter(level=fine, at__lt=end)
    if start is not None:
        rows = rows.filter(at__gte=start)
    groups: defaultdict[tuple[str, int], list[Numbers]] = defaultdict(list)
    for alias, at, counts in rows.order_by("at").values_list("alias", "at", "counts").iterator(CHUNK):
        groups[alias, at - at % level].append(counts)
    _stored().bulk_create(
        [
            Usage(level=level, alias=alias, at=at, source="", counts=summed(members))
            for (alias, at), members in groups.items()
        ],
        ignore_conflicts=True,
    )


def _trim(level: int, kept: float, now: float) -> None:
    """Deletes what is older than ``kept`` seconds, by the clock or by the newest row, whichever is earlier: a clock
    that is a day ahead for a moment must not cost a day."""
    newest = _stored().filter(level=level).order_by("-at").values_list("at", flat=True).first()
    before = min(now, now if newest is None else newest) - kept
    while old := list(_stored().filter(level=level, at__lt=before).values_list("pk", flat=True)[:CHUNK]):
        _stored().filter(pk__in=old).delete()


def _over(now: float, level: int) -> int:
    """Where the first stretch of a level begins that is not over."""
    at = int(now - MARGIN)
    return at - at % level

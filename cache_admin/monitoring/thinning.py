"""Keeps the tables of samples small for ever: the older a reading, the fewer of its neighbours stay.

The counters of a server only grow within an epoch, so what happened between two readings is not lost with those
between them. The last reading before a restart or a reset and the first after it stay at every level.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

from django.db import models, router, transaction

from cache_admin.models import Lease, Probes, ServerSample
from cache_admin.monitoring import leases
from cache_admin.monitoring.counters import Counters, epoch_ends
from cache_admin.monitoring.database import REFUSALS, impatient
from cache_admin.monitoring.samples import PATIENCE, SAY_AGAIN, SILENT, counters_of

logger = logging.getLogger(__name__)

HOUR, DAY = 3_600.0, 86_400.0
#: One reading per so many seconds is kept, until it is so many seconds old.
LEVELS: tuple[tuple[int, float], ...] = ((5, HOUR), (60, DAY), (600, 8 * DAY), (3_600, 35 * DAY))
EVERY = 60.0  #: seconds between two rounds
CHUNK = 1_000  #: most rows read, changed or deleted at once; a round takes one of each server and level
#: Most readings that stay of one stretch, where a server restarts over and over.
MOST_OF_ONE = 20
_next = float("-inf")  # monotonic


def thin_now_and_then() -> None:
    """One round, unless this process or another one did it within ``EVERY``. A database that refuses is left alone."""
    global _next
    if time.monotonic() < _next:
        return
    _next = time.monotonic() + EVERY
    if not leases.hold("thin samples", EVERY):
        return
    try:
        with impatient(router.db_for_write(ServerSample), PATIENCE):
            thin(time.time())
    except REFUSALS:
        logger.debug("Old samples stay a while: the database refuses.", exc_info=True)


def thin(now: float) -> int:
    """Thins what is due at a Unix time, a chunk per server and level. Returns how many rows went."""
    gone = 0
    for (step, age), (coarser, _age) in pairwise(LEVELS):
        before = (now - age) // coarser * coarser
        due = ServerSample.objects.filter(step=step, slot__gt=SILENT, at__lt=before)
        for server in due.order_by().values_list("server", flat=True).distinct():
            gone += _thin_server(server, due.filter(server=server), coarser)
    step, age = LEVELS[-1]
    gone += _delete(ServerSample.objects.filter(step__in=(step, SILENT), at__lt=now - age))
    gone += _delete(Lease.objects.filter(until__lt=now - age))
    return gone + _delete(Probes.objects.filter(at__lt=now - 24 * SAY_AGAIN))


def _thin_server(server: str, due: models.QuerySet[ServerSample], coarser: int) -> int:
    rows = list(due.order_by("at")[:CHUNK])
    if len(rows) == CHUNK:  # the last stretch may go on in the next chunk
        last = rows[-1].at // coarser
        rows = [row for row in rows if row.at // coarser < last] or rows
    known = ServerSample.objects.filter(server=server, slot__gt=SILENT)
    earlier = known.filter(at__lt=rows[0].at).order_by("-at").first()
    later = known.filter(at__gt=rows[-1].at).order_by("at").first()
    counters = [_counters(row) for row in rows]
    around = [_counters(row) if row else None for row in (earlier, later)]
    stays = set(staying(counters, coarser, earlier=around[0], later=around[1]))
    kept = [row.pk for place, row in enumerate(rows) if place in stays]
    gone = [row.pk for place, row in enumerate(rows) if place not in stays]
    with transaction.atomic(router.db_for_write(ServerSample)):
        ServerSample.objects.filter(pk__in=kept).update(step=coarser)
        return ServerSample.objects.filter(pk__in=gone).delete()[0]


def _counters(row: ServerSample) -> Counters:
    return counters_of(row.at, row.run_id, row.reading)


def staying(
    readings: Sequence[Counters], coarser: int, *, earlier: Counters | None = None, later: Counters | None = None
) -> Iterator[int]:
    """Places of the readings, oldest first, of which one per ``coarser`` seconds is to stay, with the edges of epochs.

    ``earlier`` and ``later`` are their neighbours. Pure.
    """
    around = [earlier, *readings, later]
    stretch, stayed = -1.0, 0
    for place, (before, reading, after) in enumerate(zip(around, readings, around[2:], strict=False)):
        if reading.at // coarser != stretch:
            stretch, stayed = reading.at // coarser, 0
        last = after is None or after.at // coarser != stretch
        edge = before is None or epoch_ends(before, reading) or (after is not None and epoch_ends(reading, after))
        if last or (edge and stayed < MOST_OF_ONE):
            stayed += 1
            yield place


def _delete(rows: models.QuerySet[models.Model]) -> int:
    """The first ``CHUNK`` of some rows."""
    old = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    return rows.model._default_manager.filter(pk__in=old).delete()[0] if old else 0


def forget() -> None:
    """Lets the next round come at once; for tests."""
    global _next
    _next = float("-inf")

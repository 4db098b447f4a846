"""Series from stored readings: differences of counters, laid over an even grid of time.

A server that restarted or was reset begins a new epoch: no difference is taken across it, so there is a gap and never
a negative rate or a hit rate above 100 %. A time without look-ups has no hit rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.db import router
from django.utils.translation import gettext as _

from cache_admin.models import ServerSample
from cache_admin.monitoring.counters import Counters, Interval, intervals
from cache_admin.monitoring.database import REFUSALS, looking, refused
from cache_admin.monitoring.sampler import Reading
from cache_admin.monitoring.samples import counters_of, slot_of
from cache_admin.monitoring.spans import SHORTEST, Span

RECENT = 300.0  #: seconds that the figure of a card is of

Series = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Recent:
    """The last ``RECENT`` seconds, as far as known. Rates are per second."""

    seconds: float = 0.0  #: how much of them is known
    hit_rate: float | None = None  #: 0 to 1; None without look-ups
    lookups: float | None = None
    operations: float | None = None
    evictions: float | None = None
    expirations: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Even series of one alias, oldest first. ``None`` is a gap. Rates are per second, hit rates from 0 to 1."""

    at: tuple[float, ...]  #: Unix time at the end of each point
    hit_rate: Series
    operations: Series
    evictions: Series
    expirations: Series
    memory: Series  #: bytes
    recent: Recent = Recent()
    restarts: tuple[float, ...] = ()  #: Unix times at which another server process was first met
    note: str = ""  #: why there is no history, in words

    @property
    def known(self) -> bool:
        return any(value is not None for value in self.operations)


def series(reading: Reading, span: Span = SHORTEST) -> History:
    """The last ``span`` of the servers of a reading, together.

    A missing table or a locked database gives an empty history whose ``note`` says so.
    """
    stop = time.time()
    start = stop - span.seconds
    if reading.history_off:
        return fold([], start, stop, span, note=reading.history_off)
    stored: dict[str, list[Counters]] = {node.server: [] for node in reading.nodes}
    wanted = ServerSample.objects.filter(
        server__in=stored, slot__gte=slot_of(start - span.longest_gap), slot__lte=slot_of(stop)
    )
    try:
        with looking(router.db_for_read(ServerSample)):
            for server, *said in wanted.order_by("at").values_list("server", "at", "run_id", "reading"):
                stored[server].append(counters_of(*said))
    except REFUSALS as error:
        return fold([], start, stop, span, note=_("History is off: %(why)s") % {"why": refused(error)})
    return fold([(node.node.primary, stored[node.server]) for node in reading.nodes], start, stop, span)


class _Cell:
    """A stretch of time on the grid, and the share of every interval that lies in it."""

    def __init__(self, start: float, stop: float) -> None:
        self.start, self.stop = start, stop
        self.seconds = self.hits = self.misses = self.commands = self.evicted = self.expired = 0.0
        self.memory: float | None = None

    def add(self, interval: Interval) -> None:
        overlap = min(interval.stop, self.stop) - max(interval.start, self.start)
        if overlap <= 0:
            return
        share = overlap / interval.seconds
        self.seconds += overlap
        self.hits += interval.hits * share
        self.misses += interval.misses * share
        self.commands += interval.commands * share
        self.evicted += interval.evicted * share
        self.expired += interval.expired * share
        self.memory = interval.memory


Pick = Callable[[_Cell], float | None]


def fold(
    servers: Iterable[tuple[bool, Sequence[Counters]]],
    start: float,
    stop: float,
    span: Span = SHORTEST,
    *,
    note: str = "",
) -> History:
    """Readings per server, as (whether it is a primary, oldest first), on the even grid of a span. Pure.

    Look-ups and operations are summed over all servers, since replicas serve reads; memory, evictions and expirations
    over primaries, since a replica repeats its primary's.
    """
    width = (stop - start) / span.points
    edges = [start + width * i for i in range(span.points)]
    everyone: list[list[_Cell]] = []
    primaries: list[list[_Cell]] = []
    restarts: set[float] = set()
    for primary, readings in servers:
        if not readings:
            continue
        grid = [_Cell(edge, edge + width) for edge in edges]
        last = _Cell(stop - RECENT, stop)
        for interval in intervals(readings):
            last.add(interval)
            if interval.seconds <= span.longest_gap:
                first, behind = (max(0, int((at - start) / width)) for at in (interval.start, interval.stop + width))
                for cell in grid[first:behind]:
                    cell.add(interval)
        everyone.append([*grid, last])
        if primary:
            primaries.append([*grid, last])
        restarts |= {b.at for a, b in pairwise(readings) if a.run_id != b.run_id}
    points = span.points + 1  # the last one is of the recent time
    hit_rate = tuple(_hit_rate([cells[i] for cells in everyone]) for i in range(points))
    operations = _sum(points, everyone, lambda cell: cell.commands / cell.seconds)
    evictions = _sum(points, primaries, lambda cell: cell.evicted / cell.seconds)
    expirations = _sum(points, primaries, lambda cell: cell.expired / cell.seconds)
    return History(
        at=tuple(edge + width for edge in edges),
        hit_rate=hit_rate[:-1],
        operations=operations[:-1],
        evictions=evictions[:-1],
        expirations=expirations[:-1],
        memory=_sum(points, primaries, lambda cell: cell.memory)[:-1],
        recent=Recent(
            seconds=min((cells[-1].seconds for cells in everyone), default=0.0),
            hit_rate=hit_rate[-1],
            lookups=_sum(points, everyone, lambda cell: (cell.hits + cell.misses) / cell.seconds)[-1],
            operations=operations[-1],
            evictions=evictions[-1],
            expirations=expirations[-1],
        ),
        restarts=tuple(sorted(moment for moment in restarts if moment >= start)),
        note=note,
    )


def _hit_rate(cells: Sequence[_Cell]) -> float | None:
    hits = sum(cell.hits for cell in cells)
    lookups = hits + sum(cell.misses for cell in cells)
    return hits / lookups if lookups else None


def _sum(points: int, grids: Sequence[Sequence[_Cell]], pick: Pick) -> Series:
    """Sums over the servers, point by point; a gap where any server that was met at all has one."""
    sums: list[float | None] = []
    for i in range(points):
        found = [pick(cells[i]) if cells[i].seconds else None for cells in grids]
        known = [value for value in found if value is not None]
        sums.append(sum(known) if known and len(known) == len(found) else None)
    return tuple(sums)

"""Readings of servers in the database: written, found again by any process, and turned back into facts.

Beside them stand two things that one process must tell the others: since when a server is silent, and how often the
dashboard itself looked at keys there. A database that refuses costs history, never an answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from django.db import IntegrityError, router, transaction
from django.db.models import Sum

from cache_admin.adapters.server_info import Latency, Node, ServerInfo
from cache_admin.models import Probes, ServerSample
from cache_admin.monitoring import leases
from cache_admin.monitoring.counters import Counters
from cache_admin.monitoring.database import REFUSALS, impatient, looking

logger = logging.getLogger(__name__)

STEP = 5.0  #: seconds between two readings of a server
#: Seconds for which nothing is written after the database refused, so that a locked one slows one card a minute.
STORE_AGAIN = 60.0
PATIENCE = 500  #: milliseconds to wait for a locked database
SILENT = 0  #: slot and step of the row that tells of a silence
#: Seconds after which a process says again how often it looked, so that its word is not taken for that of a dead one.
SAY_AGAIN = 3_600.0

T = TypeVar("T")
_NOT_STORED = frozenset({"node", "keys"})
_KNOWN = frozenset(field.name for field in fields(ServerInfo)) - _NOT_STORED


class Store:
    """The tables as this process sees them: whether they take anything now, and what it last said of its own looks."""

    def __init__(self) -> None:
        self._refused = float("-inf")  # monotonic
        self._said: dict[str, tuple[tuple[int, int], float]] = {}

    @property
    def off(self) -> bool:
        return time.monotonic() - self._refused < STORE_AGAIN

    def add(self, server: str, info: ServerInfo, *, jumped: bool) -> None:
        """Writes a reading in place of one of the same step, which mostly a clock that went back has left.

        ``jumped``: the clock was changed since the reading before.
        """

        def write() -> None:
            document = _document(info) | {"probes": _probes(server), "jumped": jumped}
            slot = slot_of(info.at)
            ServerSample.objects.filter(server=server, slot=slot).delete()
            ServerSample.objects.create(server=server, slot=slot, at=info.at, run_id=info.run_id, reading=document)

        self._write(write)

    def silent(self, server: str, since: float) -> None:
        """Writes that a server does not answer since a Unix time."""

        def write() -> None:
            given = {"step": SILENT, "at": time.time(), "run_id": "", "reading": {"since": since}}
            if not ServerSample.objects.filter(server=server, slot=SILENT).update(**given):
                ServerSample.objects.create(server=server, slot=SILENT, **given)

        self._write(write)

    def probed(self, server: str, hits: int, misses: int) -> None:
        """Writes how often this process looked at keys of a server so far, where that is news."""
        counts, now = (hits, misses), time.monotonic()
        said, when = self._said.get(server, ((0, 0), now))
        if counts == said and now - when < SAY_AGAIN:
            return

        def write() -> None:
            rows = Probes.objects.filter(server=server, process=leases.owner())
            given = {"hits": hits, "misses": misses, "at": time.time()}
            if not rows.update(**given):
                rows.create(server=server, process=leases.owner(), **given)
            self._said[server] = counts, now

        self._write(write)

    def newest(self, server: str) -> ServerSample | None:
        """The reading of a server that was written last, by whichever process, whatever the clock said then."""
        rows = ServerSample.objects.filter(server=server, slot__gt=SILENT).order_by("-pk")
        return self._read(lambda: rows.first())

    def silent_since(self, server: str, answered: float) -> float | None:
        """The Unix time since which a server that ``answered`` last is silent, as some process noticed after that."""
        rows = ServerSample.objects.filter(server=server, slot=SILENT, at__gt=answered)
        row = self._read(lambda: rows.first())
        return row.reading["since"] if row else None

    def _write(self, write: Callable[[], None]) -> None:
        if self.off:
            return
        using = router.db_for_write(ServerSample)
        try:
            with impatient(using, PATIENCE), transaction.atomic(using):
                write()
        except IntegrityError:
            pass  # another process wrote the same row in this moment
        except REFUSALS as error:
            self._pause(error)

    def _read(self, read: Callable[[], T]) -> T | None:
        using = router.db_for_read(ServerSample)
        try:
            with impatient(using, PATIENCE), looking(using):
                return read()
        except REFUSALS as error:
            self._pause(error)
            return None

    def _pause(self, error: Exception) -> None:
        logger.warning("The database takes no server samples; history pauses.", exc_info=error)
        self._refused = time.monotonic()


def _probes(server: str) -> list[int]:
    total = Probes.objects.filter(server=server).aggregate(hits=Sum("hits"), misses=Sum("misses"))
    return [total["hits"] or 0, total["misses"] or 0]


def slot_of(at: float) -> int:
    """The slot of a Unix time. It stays that of the shortest step when its neighbours are thinned out."""
    return int(at // STEP)


def _document(info: ServerInfo) -> dict[str, Any]:
    """What is stored of a reading, short, for thousands of them are read for one chart: no unknown field, no names of
    percentiles."""
    known = {name: getattr(info, name) for name in _KNOWN}
    known["latencies"] = [[one.command, one.p50, one.p99, one.p999] for one in info.latencies]
    known["keyspace"] = dict(info.keyspace)
    return {name: value for name, value in known.items() if value is not None}


def info_of(sample: ServerSample, node: Node, database: str) -> ServerInfo:
    """A stored reading as the one it was, with the keys of ``database``. Fields that another version of this package
    added or left out are at their defaults."""
    known: dict[str, Any] = {name: value for name, value in sample.reading.items() if name in _KNOWN}
    found = tuple([Latency(*one[:4]) for one in known.pop("latencies", ())])
    keys = known.get("keyspace", {}).get(database, 0)
    return ServerInfo(node=node, keys=keys, latencies=found, **known)


def counters_of(at: float, run_id: str, reading: dict[str, Any]) -> Counters:
    """The counters of a stored reading as the server keeps them, with the looks of all processes of the dashboard."""
    get = reading.get
    hits, misses = get("hits"), get("misses")
    probes = get("probes", (0, 0))
    return Counters(
        at,
        run_id,
        get("jumped", False),
        # The looks of the process that took the reading were taken off.
        None if hits is None else hits + get("probed_hits", 0),
        None if misses is None else misses + get("probed_misses", 0),
        get("commands"),
        get("evicted"),
        get("expired"),
        get("memory"),
        probes[0],
        probes[1],
    )

"""Everything that finders look at, gathered for one alias: at a glance, or by a whole look.

A *glance* is for what stands on every page and refreshes by itself. It asks no server beyond the reading that the
cards share, and only what all processes know: counts, those before and after the last deploy, the last complete scan,
the last look at values. A *look* (see ``looking.py``) is for the page and the command: it samples the keyspace where
there is no scan, reads the slow logs, tries how far the largest values can be compressed, and compares what was there
before and after the last deploy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import router

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.server_info import SlowCommand
from cache_admin.exceptions import CacheAdminError
from cache_admin.health import counted
from cache_admin.health.counted import Counted
from cache_admin.keyspace import comparison, leftovers, reports, unreadable
from cache_admin.keyspace.comparison import Comparison
from cache_admin.keyspace.leftovers import Leftovers
from cache_admin.keyspace.report import LargeKey, Report
from cache_admin.keyspace.unreadable import ValuesReport
from cache_admin.models import Deploy, ServerSample
from cache_admin.monitoring import deploys, sampler
from cache_admin.monitoring import history as histories
from cache_admin.monitoring.database import REFUSALS, looking
from cache_admin.monitoring.history import History, Series
from cache_admin.monitoring.sampler import Reading
from cache_admin.monitoring.spans import Span

#: Seconds for which a process goes on with what it read from the database, so that ten cards read it once.
REMEMBERED = 30.0
HOUR = 3_600.0
#: Seconds for which a deploy is the first suspect.
DEPLOY_SECONDS = 86_400.0
#: The servers' hit rate of half an hour, and of those before: the last point is of now.
HALF_HOURS = Span("half-hours", "", 6 * HOUR, 12, 600.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """A large value that is stored as it is, and how many times smaller its beginning can be made."""

    key: LargeKey
    read: int  #: bytes of it that were tried
    ratio: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database knows of an alias, shared by all processes."""

    counts: Counted = field(default_factory=Counted)
    half_hours: Series = ()
    rejected: Mapping[str, int] = field(default_factory=dict)  #: connections refused in the last hour, by server
    report: Report | None = None
    leftovers: Leftovers | None = None
    look: ValuesReport | None = None
    deploy: Deploy | None = None  #: the last one, of the last day
    compared: Comparison | None = None  #: what it did, by counts alone


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one alias; ``None`` and what is empty is not known."""

    alias: str
    adapter: Adapter
    now: float  #: Unix time
    reading: Reading | None = None
    history: History | None = None
    stored: Stored = field(default_factory=Stored)
    slow: Mapping[str, tuple[SlowCommand, ...]] = field(default_factory=dict)  #: by server
    tried: tuple[Tried, ...] = ()
    deploy: Deploy | None = None  #: the last one, of the last day
    compared: Comparison | None = None  #: what it did
    notes: tuple[str, ...] = ()  #: what could not be asked, in sentences
    unreachable: str = ""  #: why a server did not answer after its reading, in a sentence

    @property
    def policy(self) -> str:
        """The eviction policy of the primary server, "" where that is not known."""
        info = self.reading.primary.info if self.reading else None
        return info.policy if info else ""

    @property
    def limited(self) -> bool:
        """Whether the primary server has a memory limit, so that its policy matters."""
        info = self.reading.primary.info if self.reading else None
        return bool(info and info.memory_limit)

    @property
    def evictions(self) -> float:
        """Keys evicted per second in the last minutes."""
        return (self.history.recent.evictions or 0.0) if self.history else 0.0


@dataclass(slots=True)
class _Memory:
    """What this process read of one alias, and when (monotonic)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    stored: Stored | None = None
    at: float = 0.0
    counts: Counted | None = None
    counts_at: float = 0.0


_memories: dict[str, _Memory] = {}


def counts(alias: str) -> Counted:
    """What the application asked, read at most ``REMEMBERED`` seconds ago."""
    memory = _memories.setdefault(alias, _Memory())
    with memory.lock:
        return _counts(alias, memory)


def _counts(alias: str, memory: _Memory) -> Counted:
    if memory.counts is None or time.monotonic() - memory.counts_at > REMEMBERED:
        memory.counts, memory.counts_at = counted.read(alias, time.time()), time.monotonic()
    return memory.counts


def glance(adapter: Adapter, reading: Reading | None = None, history: History | None = None) -> Facts:
    """What is known without a further question. ``reading`` and its ``history`` where the caller has them already.

    Raises what reading the server raises.
    """
    if adapter.can_tell_server:
        reading = reading or sampler.reading(adapter.alias)
        history = history or histories.series(reading)
    known = _known(adapter, reading)
    deploy, compared = known.deploy, known.compared
    return Facts(adapter.alias, adapter, time.time(), reading, history, known, deploy=deploy, compared=compared)


def _known(adapter: Adapter, reading: Reading | None) -> Stored:
    """What was read at most ``REMEMBERED`` seconds ago. Of cards that come at once, one reads and the others wait."""
    memory = _memories.setdefault(adapter.alias, _Memory())
    with memory.lock:
        if memory.stored is None or time.monotonic() - memory.at > REMEMBERED:
            memory.stored = stored(adapter, reading, _counts(adapter.alias, memory))
            memory.at = time.monotonic()
        return memory.stored


def forget() -> None:
    """Drops what this process remembers: in a child, for a lock may be held by a thread of its parent; in tests."""
    _memories.clear()


def stored(adapter: Adapter, reading: Reading | None, counts: Counted | None = None) -> Stored:
    """Read now, but for ``counts`` where the caller has them."""
    now = time.time()
    counts = counts or counted.read(adapter.alias, now)
    report = reports.latest(adapter.alias) if adapter.can_list else None
    if report and not (report.complete and report.started >= now - reports.STORED_SECONDS):
        report = None
    deploy = last_deploy(now)
    return Stored(
        counts=counts,
        half_hours=histories.series(reading, HALF_HOURS).hit_rate if reading and not counts.hour else (),
        rejected=_rejected(reading, now) if reading else {},
        report=report,
        leftovers=left_in(adapter, report),
        look=unreadable.latest(adapter.alias) if adapter.can_list else None,
        deploy=deploy,
        compared=_compared(adapter.alias, deploy),
    )


def last_deploy(now: float) -> Deploy | None:
    """The last deploy, while it is the first suspect."""
    with suppress(*REFUSALS), looking(router.db_for_read(Deploy)):
        deploy = deploys.latest()
        return deploy if deploy and now - deploy.at <= DEPLOY_SECONDS else None
    return None


def _compared(alias: str, deploy: Deploy | None) -> Comparison | None:
    with suppress(CacheAdminError, *REFUSALS):
        return comparison.compare_counts(alias, deploy) if deploy else None
    return None


def left_in(adapter: Adapter, report: Report | None) -> Leftovers | None:
    return leftovers.of(report, adapter.codec) if report else None


def _rejected(reading: Reading, now: float) -> dict[str, int]:
    """Connections that each server refused since the oldest reading of the last hour by the same server process."""
    found = {}
    for node in reading.nodes:
        if node.info is None or not node.info.rejected:
            continue
        rows = ServerSample.objects.filter(
            server=node.server, slot__gt=0, at__gte=now - HOUR, at__lte=now, run_id=node.info.run_id
        )
        with suppress(*REFUSALS), looking(router.db_for_read(ServerSample)):
            if first := rows.order_by("at").first():
                found[node.server] = max(0, node.info.rejected - (first.reading.get("rejected") or 0))
    return found


os.register_at_fork(after_in_child=forget)

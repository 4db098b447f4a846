"""Where reports come from: stored censuses, or a sample at once.

Readers always get an answer as long as the server gives one: a missing or locked table, or a report that another
version stored, only means that there is no stored report.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import datetime

from django.db import DatabaseError, router

from cache_admin import conf
from cache_admin.adapters import adapter
from cache_admin.keyspace import growth
from cache_admin.keyspace.census import sample
from cache_admin.keyspace.report import Report
from cache_admin.keyspace.stored import moment
from cache_admin.models import CensusReport
from cache_admin.monitoring.database import looking

KEEP = 20
DELETE_BATCH = 100
SAMPLE_SECONDS = 30.0
#: A stored census older than this says less of the cache than a sample of now.
STORED_SECONDS = 86_400.0

logger = logging.getLogger(__name__)


class _Memory:
    """What this process remembers of one alias."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  #: one computation at a time
        self.sample: Report | None = None
        self.sampled = 0.0  #: monotonic
        self.stored: tuple[int, Report] | None = None  #: primary key and report


_memories: dict[str, _Memory] = {}


def current(alias: str, *, after: float = 0.0) -> Report:
    """The newest complete census of the last day if there is one, else a sample at most ``SAMPLE_SECONDS`` old.

    What began before ``after`` (Unix time) does not count.

    Raises :class:`UnknownAlias`, and what reading the server raises when a sample is needed.
    """
    memory = _memories.setdefault(alias, _Memory())
    with memory.lock:
        stored = _latest(alias, memory)
        if stored and stored.complete and stored.started >= max(after, time.time() - STORED_SECONDS):
            return stored
        old = time.monotonic() - memory.sampled > SAMPLE_SECONDS
        if old or memory.sample is None or memory.sample.started < after:
            memory.sample = sample(adapter(alias), conf.current().SAMPLE_MILLISECONDS)
            memory.sampled = time.monotonic()
        return memory.sample


def latest(alias: str) -> Report | None:
    """The stored census of an alias: the newest complete one, else the newest; ``None`` where there is none."""
    memory = _memories.setdefault(alias, _Memory())
    with memory.lock:
        return _latest(alias, memory)


def ended(report: Report) -> datetime:
    """When a census was over, as the project's database keeps moments."""
    return moment(report.started + report.seconds)


def save(report: Report) -> None:
    """Stores a census, and its day's growth, and deletes all but the ``KEEP`` newest of its alias.

    Raises ``DatabaseError``.
    """
    CensusReport.objects.create(
        alias=report.alias,
        created=ended(report),
        complete=report.complete,
        scanned=report.scanned,
        total=report.total,
        report=report.to_json(),
    )
    growth.remember(report)
    own = CensusReport.objects.filter(alias=report.alias)
    old = list(own.order_by("-created", "-pk").values_list("pk", flat=True)[KEEP : KEEP + 10 * DELETE_BATCH])
    for start in range(0, len(old), DELETE_BATCH):
        own.filter(pk__in=old[start : start + DELETE_BATCH]).delete()


def forget() -> None:
    """Drops what this process remembers, so that the next reader looks again: after a purge, in tests, and in a child,
    for a lock may be held by a thread of its parent."""
    _memories.clear()


def _latest(alias: str, memory: _Memory) -> Report | None:
    try:
        with looking(router.db_for_read(CensusReport)):
            newest = (
                CensusReport.objects.filter(alias=alias)
                .order_by("-complete", "-created", "-pk")
                .values_list("pk", flat=True)
                .first()
            )
            if newest is None:
                return None
            if memory.stored is None or memory.stored[0] != newest:
                row = CensusReport.objects.get(pk=newest)
                memory.stored = newest, Report.from_json(row.report)
            return memory.stored[1]
    except (DatabaseError, CensusReport.DoesNotExist, ValueError):
        logger.warning("The stored censuses of %s cannot be read", alias, exc_info=True)
        return None


os.register_at_fork(after_in_child=forget)

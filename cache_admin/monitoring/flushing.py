"""What was counted goes to the database: one statement, whatever the number of patterns.

Nothing here raises or is waited for by a request. What a database refuses is kept and offered again after ``PAUSE``
seconds; a process that is killed loses what it counted since the last time.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time

from django.db import DatabaseError, InterfaceError

from cache_admin.models import Usage
from cache_admin.monitoring import leases, stampedes
from cache_admin.monitoring.recorder import BATCH, recorder
from cache_admin.monitoring.stampedes import Rebuild
from cache_admin.monitoring.usage import OTHER, ByPattern, Counts, dump

logger = logging.getLogger(__name__)

EVERY = 5.0  #: seconds between two flushes
#: Seconds for which a database that refused is left alone.
PAUSE = 30.0
#: Seconds that the end of a process waits for a flush under way.
PATIENCE = 5.0
#: Patterns of an alias that are kept while the database refuses.
MOST_KEPT = 1_000


class Flusher:
    """What this process has counted and not yet written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, ByPattern] = {}
        self._rebuilds: dict[str, list[Rebuild]] = {}
        self._since = time.time()
        self._numbers = itertools.count()
        self._again = float("-inf")  # monotonic

    def flush(self, wait: float = 0.0) -> bool:
        """Writes down what was counted since the last time; False if the database refused, or if another thread has
        been at it for ``wait`` seconds."""
        if not self._lock.acquire(timeout=wait):
            return False
        try:
            return self._flush()
        finally:
            self._lock.release()

    def _flush(self) -> bool:
        self._take()
        now = time.time()
        if self._kept:
            if time.monotonic() < self._again:
                return False
            try:
                Usage.objects.bulk_create(self._rows(now))
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Counts of the caches could not be written (%s); trying again later.", error)
                self._again = time.monotonic() + PAUSE
                return False
        self._kept, self._rebuilds, self._since = {}, {}, now
        return True

    def _take(self) -> None:
        for alias, drained in recorder.drain().items():
            kept = self._kept.setdefault(alias, {})
            self._rebuilds[alias] = [*self._rebuilds.get(alias, ()), *drained.rebuilds][-stampedes.MOST :]
            for template, one in drained.counts.items():
                if template not in kept and len(kept) >= MOST_KEPT:
                    template = OTHER
                kept.setdefault(template, Counts()).add(one)

    def _rows(self, now: float) -> list[Usage]:
        # What waited for the database belongs to the time before, but must not come after that was summed up.
        at = int(max(min(self._since, now), now - 2 * EVERY))
        source = f"{leases.owner()[:80]}#{next(self._numbers)}"
        return [
            Usage(
                level=0, alias=alias, at=at, source=source, counts=dump(counts), rebuilds=self._rebuilds.get(alias, [])
            )
            for alias, counts in self._kept.items()
        ]


flusher = Flusher()
flush = flusher.flush


def forget(batch: int = BATCH) -> None:
    """Drops what was counted; for tests, and for a process that was forked and would write what its parent counted."""
    recorder.forget(batch)
    flusher.__init__()  # type: ignore[misc]

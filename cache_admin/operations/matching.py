"""What purging and expiring share: one pass over the keyspace, every key matched again here, changed in batches."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from typing import Any

from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.adapters.base import DELETE_BATCH, SCAN_COUNT, SLOW_PAGE, Adapter, Removed
from cache_admin.keyspace import catalogue, reports
from cache_admin.models import Operation
from cache_admin.operations import stale, targets
from cache_admin.operations.base import Kind, Overrun, Step, digest
from cache_admin.words import number

#: Most seconds that matching keys wait for a batch to fill, so that sparse ones are not left to the end.
_LONGEST_WAIT = 0.5


class OverMatching(Kind):
    """Changes every key that the targets in ``params`` name. Doing it again is harmless, so it can be resumed."""

    permission = "invalidate"

    def change(self, cache: Adapter, batch: Sequence[bytes], params: dict[str, Any]) -> Removed:
        """Changes at most ``DELETE_BATCH`` raw keys in one round trip or two."""
        raise NotImplementedError

    def permissions(self, params: dict[str, Any]) -> tuple[str, ...]:
        return (self.permission, "invalidate_protected") if params.get("include_protected") else (self.permission,)

    def active_key(self, alias: str, params: dict[str, Any]) -> str:
        meant = sorted(json.dumps(one, sort_keys=True) for one in params["targets"])
        return digest(self.name, alias, *meant, *params.get("tags", ()))

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        if not operation.cursor and (operation.params.get("tags") or operation.params.get("urls")):
            stale.make(operation.alias, operation.params)
            yield Step(cursor={"stale": True})
        if not operation.params["targets"]:
            return
        cache = adapter(operation.alias)
        selection = targets.read(operation.params["targets"], cache.codec)
        work = _Work(self, cache, operation)
        try:
            if selection.literals and not operation.cursor.get("exact"):
                work.take(list(selection.literals))
                yield from work.flush({"exact": True})
            if selection.server_glob is not None:
                yield from work.scan(selection, selection.server_glob)
        finally:
            reports.forget()


class _Work:
    """One run: the keys that wait for a batch, and where the row may say that everything before is done."""

    def __init__(self, kind: OverMatching, cache: Adapter, operation: Operation) -> None:
        self._kind = kind
        self._cache = cache
        self._row = operation
        self._limit: int = operation.cursor.get("limit") or (operation.planned_keys or 0) * 3 + 10_000
        self._waiting: list[bytes] = []
        self._skipped = 0
        self._flushed = time.monotonic()

    def take(self, raws: Sequence[bytes]) -> None:
        """Puts matching keys in line, except protected ones that nobody allowed."""
        if not self._row.params["include_protected"]:
            strip = self._cache.codec.strip
            free = [raw for raw in raws if not catalogue.protected(strip(raw))]
            self._skipped += len(raws) - len(free)
            raws = free
        self._waiting += raws

    def scan(self, selection: targets.Selection, glob: bytes) -> Generator[Step, None, None]:
        start = self._row.cursor
        at, run_id = start.get("at", 0), start.get("run_id", "")
        while True:
            began = time.perf_counter()
            page = self._cache.scan(at, glob, run_id=run_id)
            busy = time.perf_counter() - began
            restarted = bool(run_id) and page.run_id != run_id
            self.take([raw for raw in page.keys if selection.match(raw)])
            at, run_id = page.cursor, page.run_id
            # The saved cursor stays behind the keys that wait: a killed process must meet them again.
            scanned = self._scanned(page.cursor, restarted)
            yield Step(cursor=self._row.cursor, scanned=scanned, busy=busy, slow=busy > SLOW_PAGE)
            waited = time.monotonic() - self._flushed > _LONGEST_WAIT
            if not at or waited or len(self._waiting) >= DELETE_BATCH or not self._waiting:
                yield from self.flush({"exact": True, "at": at, "run_id": run_id})
            if not at:
                return

    def _scanned(self, cursor: int, restarted: bool) -> int:
        """Keys that a page went through; the server tells only those that match."""
        before = 0 if restarted else self._row.scanned
        after = before + SCAN_COUNT
        if self._row.total is not None:
            after = min(after, self._row.total) if cursor else self._row.total
        return after - self._row.scanned

    def flush(self, cursor: dict[str, Any]) -> Generator[Step, None, None]:
        """Changes what waits, a batch a step; only the last one moves the cursor."""
        batch: Sequence[bytes] = ()
        while self._waiting:
            if self._row.done_keys >= self._limit:
                yield Step(cursor={**self._row.cursor, "limit": self._limit * 2})
                raise Overrun(
                    _(
                        "%(done)s keys went, far more than the %(planned)s planned: something keeps adding matching "
                        "keys. Resume to go on, or stop what writes them."
                    )
                    % {"done": number(self._row.done_keys), "planned": number(self._row.planned_keys or 0)}
                )
            batch, self._waiting = self._waiting[:DELETE_BATCH], self._waiting[DELETE_BATCH:]
            began = time.perf_counter()
            removed = self._kind.change(self._cache, batch, self._row.params)
            busy = time.perf_counter() - began
            yield self._step(self._row.cursor if self._waiting else cursor, removed, busy)
        if not batch:
            yield self._step(cursor, Removed(0, 0), 0.0)
        self._flushed = time.monotonic()

    def _step(self, cursor: dict[str, Any], removed: Removed, busy: float) -> Step:
        skipped, self._skipped = self._skipped, 0
        if limit := self._row.cursor.get("limit"):
            cursor = {**cursor, "limit": limit}
        return Step(
            cursor=cursor,
            done_keys=removed.keys,
            done_bytes=removed.size,
            skipped_keys=skipped,
            busy=busy,
            slow=busy > SLOW_PAGE,
            notes=removed.notes,
        )

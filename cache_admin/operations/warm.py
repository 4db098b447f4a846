"""Warming: warmers of the project, run on somebody's behalf one after the other, with progress, cancel and audit.

In the row, ``params["warmers"]`` are the names, ``scanned`` of ``total`` warmers are over, ``done_keys`` were written,
and ``cursor`` holds ``next``, the place of the warmer at work, and ``results`` by name. A run that was killed goes on
with the warmer that it was cut off in, from that one's beginning: writing an entry again does no harm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin.adapters import aliases
from cache_admin.caching.warmers import Warmer, warmers
from cache_admin.caching.warming import LOCK_SECONDS, CacheWarmer, Result
from cache_admin.exceptions import CacheAdminError
from cache_admin.keys import globs_meet
from cache_admin.keyspace import reports
from cache_admin.models import Operation
from cache_admin.operations import targets, warmed
from cache_admin.operations.base import Kind, Plan, Step, digest

#: Names that a sentence tells before it counts the rest.
_NAMED = 5
_HEARTBEAT = 0.1
_STOPPING = 3.0


class UnknownWarmer(CacheAdminError, LookupError):
    """There is no warmer of this name (any more)."""


class WarmersFailed(CacheAdminError):
    """Some warmers of a run failed; the message names each. The others did their work."""


class Warm(Kind):
    """Runs the warmers in ``params``. One that fails does not keep the others from their work."""

    name = "warm"
    permission = "run_warmers"

    def active_key(self, alias: str, params: dict[str, Any]) -> str:
        """One run at a time on the whole site: warmers work the database behind the caches."""
        return digest(self.name)

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        names: list[str] = operation.params["warmers"]
        cursor, cut_off = operation.cursor, bool(operation.cursor)
        if not cursor:
            cursor = {"next": 0, "results": {}}
            yield Step(cursor=cursor, total=len(names))
        try:
            for number in range(cursor["next"], len(names)):
                result = yield from _one(names[number], cursor, patient=cut_off)
                cut_off = False
                cursor = {"next": number + 1, "results": {**cursor["results"], result.name: asdict(result)}}
                yield Step(cursor=cursor, scanned=1)
        finally:
            reports.forget()
        if failed := [outcome for outcome in warmed.outcomes(operation) if outcome.failed]:
            raise WarmersFailed(_failures(failed, len(names)))


def _one(name: str, cursor: dict[str, Any], *, patient: bool) -> Generator[Step, None, Result]:
    """Runs one warmer, and yields what it has written. ``patient``: waits until the lock of a dead worker is gone."""
    if name not in warmers.names():
        return Result(name, "failed", 0, 0.0, _("There is no warmer of this name any more."))
    deadline = time.monotonic() + (2 * LOCK_SECONDS if patient else 0)
    while True:
        run = _Run(warmers.get(name))
        try:
            for written in run:
                yield Step(cursor=cursor, done_keys=written)
        finally:
            run.stop()
        if run.result.state != "refused" or time.monotonic() > deadline:
            return run.result
        time.sleep(1)


class _Run:
    """One warmer in a thread, so that the lease of the operation is renewed whatever the warmer does meanwhile."""

    def __init__(self, warmer: Warmer) -> None:
        self.result = Result(warmer.name, "stopped", 0, 0.0)
        self._warmer = warmer
        self._written = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"cache-admin-warm-{warmer.name}", daemon=True)

    def __iter__(self) -> Iterator[int]:
        """Entries written since the time before, again and again until it is over."""
        told = 0
        self._thread.start()
        while self._thread.is_alive():
            self._thread.join(_HEARTBEAT)
            written, told = self._written - told, self._written
            yield written
        if self.result.written > told:
            yield self.result.written - told

    def stop(self) -> None:
        """Lets it end at its next batch, and waits a moment for that."""
        self._stop.set()
        self._thread.join(_STOPPING)

    def _work(self) -> None:
        try:
            (self.result,) = CacheWarmer.run([self._warmer], progress=self._note, stop=self._stop)
        finally:
            connections.close_all()

    def _note(self, name: str, written: int) -> None:
        self._written = written


def plan(names: Sequence[str]) -> Plan:
    """A run of these warmers, for ``runner.start``. Raises :class:`UnknownWarmer`, also for no name at all."""
    chosen = [_known(name) for name in dict.fromkeys(names)]
    if not chosen:
        raise UnknownWarmer(_("No warmer is chosen."))
    listed = [warmer.name for warmer in chosen]
    sentence = ngettext("Run the warmer %(names)s.", "Run the warmers %(names)s.", len(listed))
    return Plan(
        kind=Warm.name,
        alias=", ".join(dict.fromkeys(warmer.alias for warmer in chosen))[:100],
        # Warmers write through the caches of the project, on which there is nothing of ours to pace.
        params={"warmers": listed, "fast": True},
        sentence=sentence % {"names": _list(listed)},
        keys=warmed.expected(listed),
        total=len(listed),
    )


def dropped_by(operation: Operation) -> tuple[Warmer, ...]:
    """The warmers that fill what an invalidation deleted: those of its alias with a pattern in common with what it
    meant, and with what was found to go, if that was known."""
    if operation.kind != "purge" or not operation.done_keys:
        return ()
    meant, found = (_globs(operation.params.get(name, ())) for name in ("targets", "going"))
    return tuple(
        warmer
        for warmer in shown()
        if warmer.alias == operation.alias
        and any(_meets(pattern, meant) and (not found or _meets(pattern, found)) for pattern in warmer.patterns)
    )


def _globs(stored: Iterable[dict[str, Any]]) -> list[bytes]:
    return [targets.Target.from_json(one).user_glob() for one in stored]


def _meets(pattern: str, globs: Iterable[bytes]) -> bool:
    return any(globs_meet(pattern.encode(), glob) for glob in globs)


def shown() -> tuple[Warmer, ...]:
    """The warmers of the aliases to show."""
    known = aliases()
    return tuple(warmer for warmer in warmers if warmer.alias in known)


def _known(name: str) -> Warmer:
    found = next((warmer for warmer in shown() if warmer.name == name), None)
    if found is None:
        raise UnknownWarmer(_("There is no warmer named %(name)s.") % {"name": name})
    return found


def _list(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return shown if more <= 0 else _("%(names)s and %(number)d more") % {"names": shown, "number": more}


def _failures(failed: Sequence[warmed.Outcome], total: int) -> str:
    told = "; ".join(f"{outcome.name} ({outcome.error})" for outcome in failed)
    words = ngettext("The warmer failed: %(told)s.", "%(number)d of %(total)d warmers failed: %(told)s.", total)
    return words % {"number": len(failed), "total": total, "told": told}

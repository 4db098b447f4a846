"""Running warmers: several at a time, each once at a time in all processes, none for longer than it may.

Each run has a thread of its own, whose database connections are closed at its end. A warmer that outlives its limit is
reported and left behind: a thread cannot be ended from outside. One that yields pairs stops at its next batch. Its lock
is renewed while it runs, so that of a killed process is gone after ``LOCK_SECONDS``.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal

from django.core.cache import caches
from django.db import connections
from django.utils.translation import gettext as _

from cache_admin.bookkeeping import unwatched
from cache_admin.caching.lazy import evaluated
from cache_admin.caching.locks import Lease
from cache_admin.caching.signals import warmed
from cache_admin.caching.warmers import Warmer, chosen

logger = logging.getLogger(__name__)
#: Entries of one ``set_many``.
BATCH = 1_000
#: Seconds for which the result of the last run is remembered.
_REMEMBERED = 30 * 86_400
#: Seconds until the lock of a run expires that nobody renews.
LOCK_SECONDS = 15.0
#: Seconds for which a stop waits for warmers to heed it.
_PATIENCE = 2.0

_LOGIN = re.compile(r"//[^/@\s]*@")

State = Literal["done", "failed", "refused", "late", "stopped"]
#: Called with the name of a warmer and how many entries it has written so far, from the thread that writes.
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: ``done``, ``failed``, ``refused`` (it runs already elsewhere), ``late`` (over its limit) or
    ``stopped`` on request. ``error`` says why in words."""

    name: str
    state: State
    written: int
    seconds: float
    error: str = ""
    at: float = 0.0  #: Unix time of its end


class _Stopped(Exception):
    """The run was asked to stop, or its time is over."""


class _Run:
    """One run of one warmer."""

    def __init__(self, warmer: Warmer, stop: threading.Event, progress: Progress | None) -> None:
        self.warmer = warmer
        self.written = 0
        self.began = time.monotonic()
        self.abandoned = False
        self._stop = stop
        self._progress = progress
        self._lease = Lease.asked(f"cache_warm:{warmer.name}", LOCK_SECONDS)

    @property
    def late(self) -> bool:
        return time.monotonic() - self.began >= self.warmer.limit

    def result(self, state: State, error: str = "") -> Result:
        return Result(
            self.warmer.name, state, self.written, round(time.monotonic() - self.began, 3), error, round(time.time(), 3)
        )

    def late_result(self) -> Result:
        text = _("It took longer than its %(seconds)g seconds.")
        return self.result("late", text % {"seconds": self.warmer.limit})

    def __call__(self) -> Result:
        cache = unwatched(caches[self.warmer.alias])
        try:
            if not cache.add(self._lease.name, self._lease.token, self._lease.seconds):
                return self.result("refused", _("It is running already."))
            try:
                self._fill()
            finally:
                if self._lease.certain() and cache.get(self._lease.name) == self._lease.token:
                    cache.delete(self._lease.name)
        except _Stopped:
            return self.late_result() if self.late else self.result("stopped", _("Stopped on request."))
        except Exception as error:
            logger.exception("The warmer %s failed", self.warmer.name)
            return self.result("failed", _in_words(error, self.warmer.alias))
        return self.result("done")

    def renew(self) -> None:
        """Keeps the lock, every now and then. If the cache lost it, there is none until the end of this run."""
        lease = replace(self._lease, since=time.monotonic())
        if lease.since - self._lease.since < LOCK_SECONDS / 3:
            return
        self._lease = lease
        try:
            unwatched(caches[self.warmer.alias]).touch(lease.name, lease.seconds)
        except Exception:
            logger.warning("The lock of the warmer %s could not be renewed", self.warmer.name, exc_info=True)

    def _fill(self) -> None:
        found = self.warmer.pairs()
        if isinstance(found, int):
            self.written = max(0, found)
            return
        cache = caches[self.warmer.alias]
        for batch in _batches(found):
            failed = cache.set_many(batch, self.warmer.timeout) or []
            self.written += len(batch) - len(failed)
            if failed:
                raise RuntimeError(f"the cache did not take {len(failed)} of {len(batch)} entries")
            if self._progress and not self.abandoned:
                self._progress(self.warmer.name, self.written)
            if self._stop.is_set() or self.abandoned or self.late:
                raise _Stopped


def _in_words(error: Exception, alias: str) -> str:
    """What went wrong, without the login of a server in it."""
    from cache_admin.adapters.errors import explained  # imports a client library

    return str(explained(error, alias) or _LOGIN.sub("//…@", f"{type(error).__name__}: {error}"))


def _batches(pairs: Iterable[tuple[str, Any]]) -> Iterator[dict[str, Any]]:
    rest = iter(pairs)
    while batch := {key: evaluated(value) for key, value in islice(rest, BATCH)}:
        yield batch


class CacheWarmer:
    """Runs registered warmers."""

    @staticmethod
    def warm_critical_caches(*, concurrent: int = 1) -> tuple[Result, ...]:
        """Runs the critical warmers, e.g. at the end of a deploy."""
        return CacheWarmer.run(chosen(critical=True), concurrent=concurrent)

    @staticmethod
    def warm(*names: str, group: str = "", concurrent: int = 1) -> tuple[Result, ...]:
        """Runs warmers by name, a group, or all. Raises ``LookupError`` for what is not there."""
        return CacheWarmer.run(chosen(names, group=group), concurrent=concurrent)

    @staticmethod
    def run(
        todo: Sequence[Warmer],
        *,
        concurrent: int = 1,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> tuple[Result, ...]:
        """Runs these, ``concurrent`` at a time; the results are in the order given, and none is an exception.

        ``stop`` ends it: those that yield pairs stop at their next batch, the others are left behind, those that wait
        do not begin.
        """
        if concurrent < 1:
            raise ValueError("concurrent is how many warmers run at a time, at least 1")
        return _Crew(todo, concurrent, progress, stop or threading.Event()).work()

    @staticmethod
    def last(warmer: Warmer) -> Result | None:
        """How its last run ended, in whichever process, as far as the cache remembers it."""
        found = unwatched(caches[warmer.alias]).get(memory_key(warmer))
        return Result(**found) if isinstance(found, dict) else None

    @staticmethod
    def due(now: float | None = None) -> tuple[Warmer, ...]:
        """The warmers with ``every`` whose last good run is longer ago than that."""
        moment = time.time() if now is None else now
        return tuple(one for one in chosen() if one.every is not None and _age(one, moment) >= one.every)


def _age(warmer: Warmer, now: float) -> float:
    last = CacheWarmer.last(warmer)
    return now - last.at if last and last.state == "done" else float("inf")


def memory_key(warmer: Warmer) -> str:
    """The user key under which the end of its last run is remembered."""
    return f"cache_warm:{warmer.name}:last"


class _Crew:
    """The threads of one call."""

    def __init__(
        self, todo: Sequence[Warmer], concurrent: int, progress: Progress | None, stop: threading.Event
    ) -> None:
        self._warmers = {warmer.name: warmer for warmer in todo}
        self._waiting = list(self._warmers.values())
        self._concurrent = concurrent
        self._progress = progress
        self._stop = stop
        self._running: dict[str, _Run] = {}
        self._ended: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._results: dict[str, Result] = {}
        self._stopped_at: float | None = None

    def work(self) -> tuple[Result, ...]:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._concurrent:
                self._start(self._waiting.pop(0))
            try:
                result = self._ended.get(timeout=0.05)
            except queue.Empty:
                self._leave_behind()
                for run in self._running.values():
                    run.renew()
            else:
                if self._running.pop(result.name, None):
                    self._note(result)
        return tuple(self._results[name] for name in self._warmers)

    def _start(self, warmer: Warmer) -> None:
        run = _Run(warmer, self._stop, self._progress)
        if self._stop.is_set():
            self._note(run.result("stopped", _("It did not begin.")))
            return
        self._running[warmer.name] = run
        # Daemons: one that hangs must not keep the process from ending.
        threading.Thread(target=self._in_thread, args=(run,), name=f"warm-{warmer.name}", daemon=True).start()

    def _in_thread(self, run: _Run) -> None:
        # Of one that ends its thread, as sys.exit does, no result would ever come.
        result = run.result("failed", _("It ended its thread."))
        try:
            result = run()
        finally:
            connections.close_all()
            caches.close_all()
            self._ended.put(result)

    def _leave_behind(self) -> None:
        """Those over their limit, and on a stop those that did not heed it for a while."""
        if self._stop.is_set() and self._stopped_at is None:
            self._stopped_at = time.monotonic()
        deaf = self._stopped_at is not None and time.monotonic() - self._stopped_at > _PATIENCE
        for name, run in list(self._running.items()):
            if run.late or deaf:
                run.abandoned = True
                del self._running[name]
                self._note(run.late_result() if run.late else run.result("stopped", _("It did not heed the stop.")))

    def _note(self, result: Result) -> None:
        self._results[result.name] = result
        warmer = self._warmers[result.name]
        error = RuntimeError(result.error) if result.error else None
        warmed.send_robust(sender=result.name, written=result.written, seconds=result.seconds, error=error)
        if result.state != "refused":
            try:
                unwatched(caches[warmer.alias]).set(memory_key(warmer), asdict(result), _REMEMBERED)
            except Exception:
                logger.warning("The end of the warmer %s could not be remembered", result.name, exc_info=True)

"""One quiet thread per process that does what must be done every few seconds: write down counts, sum them up, ask the
servers.

It starts with the first request, or with the first busy moment of a process that serves none. A process that was
forked, or started by ``multiprocessing``, may end without a word: it starts its own with its first operation. Where
threads do not run, the end of a request flushes instead. Under a test runner nothing is written by itself: the tests of
a project must not meet rows that they did not write.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections
from django.db.backends.signals import connection_created

from cache_admin import conf
from cache_admin.monitoring import flushing, instrument, rollup, sampler, tallies
from cache_admin.monitoring.recorder import recorder
from cache_admin.monitoring.samples import STEP

logger = logging.getLogger(__name__)

#: Seconds between two looks at what is due.
BEAT = 1.0
#: What pytest tells in the environment while it runs.
_PYTEST = {"PYTEST_VERSION", "PYTEST_CURRENT_TEST"}
_tested = False


@dataclass(slots=True)
class Job:
    """Something to be done every so many seconds. ``run`` may raise: that is logged, and it is done again next time."""

    every: float
    run: Callable[[], object]
    due: float = field(default=0.0)  # monotonic


class Ticker:
    """The thread and its jobs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._beat = float("-inf")  # monotonic, of the last one
        self._stop = threading.Event()
        self._database_used = False
        self._forked = False

    @property
    def beats(self) -> bool:
        """Whether the thread is there and not stuck where threads do not run."""
        return self._thread is not None and time.monotonic() - self._beat < 3 * flushing.EVERY

    def ensure(self, **kwargs: object) -> None:
        """Starts the thread, if that is not done. Receiver of signals."""
        if self._thread is not None or under_test():
            return
        with self._lock:
            if self._thread is None:
                self._beat = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="cache-admin-ticker", daemon=True)
                if _by_multiprocessing():
                    from multiprocessing import util

                    util.Finalize(None, self.end, exitpriority=0)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads here; the end of a request does it
                    logger.warning("The cache admin could not start its thread.", exc_info=True)

    def finish_request(self, **kwargs: object) -> None:
        """Receiver: does what the thread would do, where it does not run."""
        if self._thread is not None and not self.beats:
            self._beat = time.monotonic()
            _do(flushing.flush)
            _do(tallies.write)

    def use_database(self, **kwargs: object) -> None:
        """Receiver: a connection was made. Tests make theirs while it shows that they are some."""
        self._database_used = not under_test()

    def _run(self) -> None:
        while not self._stop.wait(BEAT):
            self._beat = time.monotonic()
            self.tick()
        if self._database_used:
            _do(flushing.flush)
            _do(tallies.write)
            connections.close_all()

    def tick(self) -> None:
        """Does what is due."""
        busy = False
        for job in self.jobs:
            now = time.monotonic()
            if now < job.due:
                continue
            job.due, busy = now + job.every, True
            _do(job.run)
        if busy:
            close_old_connections()  # those of this thread, as CONN_MAX_AGE of the project wants it

    def end(self) -> None:
        """At exit: the thread writes down what was counted, and stops. A command that never asked the database, such as
        one that collects static files where there is none, does not wait for it now."""
        self._stop.set()
        if not self._database_used or under_test():
            return
        if self._thread is not None and self._thread.is_alive() and self.beats:
            self._thread.join(flushing.PATIENCE)
        elif not self._forked:  # else the connection of this thread may be its parent's
            _do(lambda: flushing.flush(flushing.PATIENCE))
            _do(tallies.write)

    def forked(self) -> None:
        """In a child: its parent's thread is not there, and what the parent counted is the parent's."""
        jobs, used = self.jobs, self._database_used
        self.__init__()  # type: ignore[misc]
        self.jobs, self._database_used, self._forked = [replace(job) for job in jobs], used, True


def _do(run: Callable[[], object]) -> None:
    """Neither the other jobs nor a request may fail with this one, whatever the project's settings make it raise."""
    try:
        run()
    except Exception:
        logger.exception("A job of the cache admin failed: %s", getattr(run, "__qualname__", run))


def under_test() -> bool:
    """Whether a test runner is, or was, at work in this process: at its end too nothing of tests may be written."""
    global _tested
    if not _tested and _runs_tests():
        logger.info("A test runner is at work: what the caches are asked is not written down.")
        _tested = True
    return _tested


def _runs_tests() -> bool:
    """That pytest is imported, or mail goes to an outbox, says nothing: some libraries and sites do it for good."""
    if "pytest" in sys.modules and not _PYTEST.isdisjoint(os.environ):  # which processes started by tests have as well
        return True
    return hasattr(mail, "outbox") and "testserver" in settings.ALLOWED_HOSTS


ticker = Ticker()


def start(*jobs: Job) -> None:
    """For start-up: counts from now on, and does ``jobs`` besides."""
    if conf.current().RECORDING:
        instrument.listen(recorder.record)
        recorder.when_busy = ticker.ensure
        if _by_multiprocessing():
            recorder.forget(batch=1)
    ticker.jobs = [Job(flushing.EVERY, flushing.flush), Job(rollup.EVERY, rollup.run), *jobs]
    ticker.jobs.append(Job(tallies.EVERY, tallies.write))
    if conf.current().SAMPLING:
        ticker.jobs.append(Job(STEP, sampler.sample_all))
    request_started.connect(ticker.ensure, dispatch_uid="cache_admin.ticker")
    request_finished.connect(ticker.finish_request, dispatch_uid="cache_admin.ticker")
    connection_created.connect(ticker.use_database, dispatch_uid="cache_admin.ticker")
    atexit.register(ticker.end)
    os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    ticker.forked()
    flushing.forget(batch=1)
    tallies.forked()


def _by_multiprocessing() -> bool:
    """Whether ``multiprocessing`` started this process, for which ``atexit`` is not called before Python 3.13."""
    process: Any = sys.modules.get("multiprocessing.process")
    return bool(process and process.parent_process())


def computed(sender: object, alias: str, key: Any, seconds: float, **kwargs: object) -> None:
    """Receiver of the caching library's signal."""
    if conf.current().RECORDING:
        recorder.computed(alias, key, seconds)

"""Few connections per physical server, shared by its aliases and never with the host project.

Aliases that reach a server with the same options, whatever their database, share one :class:`Server`: together they
hold at most ``CONNECTIONS`` connections per process, ask INFO once a second, and learn at once that it is silent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from redis.exceptions import RedisError

from cache_admin.adapters import errors
from cache_admin.adapters.addresses import Address
from cache_admin.adapters.connections import Link

CONNECTIONS = 2
#: Seconds for which a server that did not answer is left alone.
HOLD = 2.5
#: Seconds to wait for one of our connections while both are in use.
QUEUE = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One INFO: when (monotonic and Unix seconds), its fields, our own probes (hits, misses) in its counters, and the
    seconds for which its answer was waited for."""

    taken: float
    at: float
    fields: Mapping[str, str]
    probes: tuple[int, int]
    waited: float


class Server:
    """A physical server: its few connections, a circuit breaker, its last INFO, and the probes we made."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._closed = False
        self._failure: tuple[errors.Verdict, float] | None = None
        self._retry_at = 0.0
        self.info_lock = threading.Lock()
        self.reading: Reading | None = None
        self.latencies = True  #: until it turns out to be too old to tell them with the rest
        self._probed = [0, 0]
        self._probed_ever = [0, 0]
        self._heard_since: float | None = None

    @contextmanager
    def link(self, alias: str, db: int) -> Iterator[Link]:
        """A connection with ``db`` selected. Errors of the client leave the block as ours, named after ``alias``."""
        self._check(alias)
        if not self._slots.acquire(timeout=QUEUE):
            raise errors.CROWDED.error(alias, time.time())
        link = None
        try:
            self._check(alias, trial=True)
            link = self._take(db)
            link.prepare(db)
            yield link
        except (RedisError, UnicodeError) as error:
            raise self._failed(errors.judge(error), alias) from None
        else:
            self._failure = self._heard_since = None
        finally:
            if link is not None:
                self._give_back(link)
            self._slots.release()

    def _check(self, alias: str, trial: bool = False) -> None:
        """Refuses while the server is left alone; after that lets one caller try."""
        with self._lock:
            if self._failure is None:
                return
            now = time.monotonic()
            if now < self._retry_at:
                verdict, since = self._failure
                raise verdict.error(alias, since)
            if trial:
                self._retry_at = now + HOLD

    def _failed(self, verdict: errors.Verdict, alias: str) -> Exception:
        with self._lock:
            since = self._failure[1] if self._failure else time.time()
            if verdict.silent and self._heard_since is not None:
                since = min(since, self._heard_since)
            if verdict.silent:
                self._failure = verdict, since
                self._retry_at = time.monotonic() + HOLD
            else:
                self._failure = None
        return verdict.error(alias, since)

    def _take(self, db: int) -> Link:
        with self._lock:
            for link in self._idle:
                if link.db == db:
                    self._idle.remove(link)
                    return link
            if self._idle:
                return self._idle.pop()
        return Link(self.address.connection(), db)

    def _give_back(self, link: Link) -> None:
        with self._lock:
            if link.clean and not self._closed:
                self._idle.append(link)
                return
        link.close()

    def count_probes(self, hits: int, misses: int) -> None:
        """Remembers look-ups of our own that the server counted."""
        with self._lock:
            for counts in (self._probed, self._probed_ever):
                counts[0] += hits
                counts[1] += misses

    def probes(self, *, forget: bool = False) -> tuple[int, int]:
        """Own look-ups (hits, misses) since the server's counters began; ``forget`` when they began again."""
        with self._lock:
            if forget:
                self._probed = [0, 0]
            return self._probed[0], self._probed[1]

    @property
    def probed_ever(self) -> tuple[int, int]:
        """Own look-ups (hits, misses) since this process began, whatever became of the server's counters."""
        with self._lock:
            return self._probed_ever[0], self._probed_ever[1]

    def heard(self, answered: float | None, silent_since: float | None) -> None:
        """What another process met (Unix times): an answer, which ends a silence that began before it, or silence."""
        with self._lock:
            self._heard_since = silent_since
            if self._failure is None:
                return
            verdict, since = self._failure
            if silent_since is not None:
                self._failure = verdict, min(since, silent_since)
            elif answered is not None and since < answered:
                self._failure = None

    def close(self) -> None:
        """Closes the idle connections now, and those in use when they come back."""
        with self._lock:
            self._closed = True
            links, self._idle = self._idle, []
        for link in links:
            link.close()


_known: list[Server] = []
_lock = threading.Lock()


def at(address: Address) -> Server:
    """The one :class:`Server` of this process for an address."""
    with _lock:
        for server in _known:
            if server.address == address:
                return server
        _known.append(Server(address))
        return _known[-1]


def probed(name: str) -> tuple[int, int]:
    """Own look-ups (hits, misses) of a server by name since this process began, on all ways that lead to it."""
    with _lock:
        ways = [server.probed_ever for server in _known if server.address.name == name]
    return sum(hits for hits, _misses in ways), sum(misses for _hits, misses in ways)


def forget() -> None:
    """Drops all servers and closes their connections: other settings need other ones."""
    with _lock:
        dropped = _known[:]
        _known.clear()
    for server in dropped:
        server.close()


def _after_fork() -> None:
    """A child must not speak on its parent's connections, nor wait for locks that a thread of the parent held."""
    global _lock
    _lock = threading.Lock()
    _known.clear()


os.register_at_fork(after_in_child=_after_fork)

"""Proxies and CDNs in front of the site: what changed is purged there too, from a thread of its own.

Only hosts that the project registered are ever contacted. A purge that fails is tried again, then reported in the log
and in :func:`figures`; it never reaches the code that caused it. What still waits when the process ends is lost: give
responses a life that makes this bearable.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from cache_admin.registry import Registry

logger = logging.getLogger(__name__)
#: Seconds before each attempt.
ATTEMPTS = (0.0, 1.0, 5.0)
#: Purges that may wait; further ones are dropped and reported.
_MOST_WAITING = 10_000
_GONE_ALREADY = 404


class Purger(Protocol):
    """Anything that can make a proxy forget."""

    def purge(self, urls: Sequence[str], tags: Sequence[str]) -> None:
        """Forgets paths (with their query strings) and everything marked with any of ``tags``. Raises ``OSError`` or
        ``http.client.HTTPException`` when it should be tried again."""


@dataclass(frozen=True, slots=True)
class HttpPurger:
    """A proxy that takes ``PURGE`` or ``BAN`` requests, as Varnish, nginx and Squid do, or an API that takes surrogate
    keys.

    ``base`` is where it listens (``"http://127.0.0.1:6081"``), ``hosts`` the names under which it serves the site.
    A path is purged by ``<method> <path>`` for each host; tags by one ``<tag_method> <tag_path>`` with all of them in
    the header ``tag_header``, or not at all while that is empty.
    """

    base: str
    hosts: tuple[str, ...]
    method: str = "PURGE"
    tag_header: str = ""
    tag_method: str = "PURGE"
    tag_path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 2.0  #: seconds for connecting and for each reply

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("base is the http or https address of a proxy, without a login in it")
        if not self.hosts:
            raise ValueError("hosts names the sites that the proxy serves")

    def purge(self, urls: Sequence[str], tags: Sequence[str]) -> None:
        parts = urlsplit(self.base)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        try:
            for url in urls:
                for host in self._hosts_of(url):
                    self._send(connection, self.method, _path(url), {"Host": host})
            if tags and self.tag_header:
                self._send(
                    connection, self.tag_method, self.tag_path, {"Host": self.hosts[0], self.tag_header: " ".join(tags)}
                )
        finally:
            connection.close()

    def _hosts_of(self, url: str) -> tuple[str, ...]:
        named = urlsplit(url).netloc
        return tuple(host for host in self.hosts if not named or host == named)

    def _send(self, connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> None:
        connection.request(method, path, headers={**self.headers, **headers})
        with connection.getresponse() as response:
            response.read()
            if not 200 <= response.status < 300 and response.status != _GONE_ALREADY:
                raise http.client.HTTPException(f"{method} {path} was answered with {response.status}")


def _path(url: str) -> str:
    parts = urlsplit(url)
    return quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one purger did in this process."""

    purged: int = 0  #: paths and tags
    failed: int = 0  #: batches given up
    retried: int = 0
    last_at: float | None = None  #: Unix time
    last_error: str = ""


@dataclass(frozen=True, slots=True, order=True)
class _Job:
    due: float  #: monotonic seconds
    number: int
    name: str = field(compare=False)
    urls: tuple[str, ...] = field(compare=False)
    tags: tuple[str, ...] = field(compare=False)
    attempt: int = field(compare=False, default=0)


class _Line:
    """The jobs that wait, and the thread that does them one by one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self._working = False
        self._thread: threading.Thread | None = None

    def put(self, job: _Job) -> bool:
        """Whether there was room."""
        with self._changed:
            if len(self._jobs) >= _MOST_WAITING:
                return False
            heapq.heappush(self._jobs, job)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cache-admin-purging", daemon=True)
                self._thread.start()
        return True

    def idle(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._working, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._working = False
                self._changed.notify_all()
                while not self._jobs or self._jobs[0].due > time.monotonic():
                    self._changed.wait(self._jobs[0].due - time.monotonic() if self._jobs else None)
                job = heapq.heappop(self._jobs)
                self._working = True
            _do(job)


purgers: Registry[Purger] = Registry("purger")
_figures: dict[str, Figures] = {}
_numbers = itertools.count()
_line = _Line()


def _after_fork() -> None:
    """The thread stays with the parent, and so do its jobs."""
    global _line
    _line = _Line()


os.register_at_fork(after_in_child=_after_fork)


def register_purger(name: str, purger: Purger) -> Purger:
    """Makes a proxy known under a name for logs and pages. The tags and URLs of all rules go to it."""
    return purgers.register(name, purger)


def purge(urls: Iterable[str], tags: Iterable[str] = ()) -> int:
    """Lets every registered proxy forget paths and tags, soon. Returns how many proxies will be told."""
    paths, names = tuple(dict.fromkeys(urls)), tuple(dict.fromkeys(tags))
    if not paths and not names:
        return 0
    return sum([_put(_Job(time.monotonic(), next(_numbers), name, paths, names)) for name in purgers.names()])


def figures(name: str) -> Figures:
    """What a purger did so far in this process."""
    return _figures.get(name, Figures())


def all_figures() -> dict[str, dict[str, Any]]:
    """What each purger that did anything did in this process."""
    return {name: asdict(found) for name, found in list(_figures.items())}


def wait(timeout: float = 10.0) -> bool:
    """Waits until nothing is to be purged any more, at most ``timeout`` seconds; whether that came."""
    return _line.idle(timeout)


def _put(job: _Job) -> bool:
    if _line.put(job):
        return True
    logger.error("Purger %s: too many purges wait; dropped %s %s", job.name, job.urls, job.tags)
    _count(job.name, failed=1, error="too many purges wait")
    return False


def _do(job: _Job) -> None:
    try:
        purgers.get(job.name).purge(job.urls, job.tags)
    except Exception as error:
        logger.warning("Purger %s failed: %s: %s", job.name, type(error).__name__, error)
        _failed(job, error)
        return
    _count(job.name, purged=len(job.urls) + len(job.tags))


def _failed(job: _Job, error: Exception) -> None:
    attempt = job.attempt + 1
    if attempt < len(ATTEMPTS):
        _count(job.name, retried=1, error=f"{type(error).__name__}: {error}")
        _put(replace(job, due=time.monotonic() + ATTEMPTS[attempt], attempt=attempt))
    else:
        logger.error("Purger %s failed for good (%s): %s %s", job.name, error, job.urls, job.tags)
        _count(job.name, failed=1, error=f"{type(error).__name__}: {error}")


def _count(name: str, *, purged: int = 0, failed: int = 0, retried: int = 0, error: str = "") -> None:
    before = figures(name)
    _figures[name] = replace(
        before,
        purged=before.purged + purged,
        failed=before.failed + failed,
        retried=before.retried + retried,
        last_at=time.time(),
        last_error=error[:500] or before.last_error,
    )

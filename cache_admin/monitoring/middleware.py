"""What one request asked of the caches: response headers, ``Server-Timing`` and a log line.

Put it first in ``MIDDLEWARE``, outside of anything that stores responses::

    MIDDLEWARE = ["cache_admin.monitoring.middleware.CacheMonitoringMiddleware", ...]

Counted is what happens in the context of the request: its thread, its task, and those that inherit the context from it
(``sync_to_async``, ``asyncio.create_task``), but no thread that the view starts by hand. The headers say what was
counted before the first byte of the body; the log line of a streaming response comes when it is closed, and has
everything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path
from django.utils.functional import SimpleLazyObject, empty

from cache_admin import conf
from cache_admin.monitoring import instrument
from cache_admin.monitoring.listeners import Event, Stored

logger = logging.getLogger(__name__)
#: One line per request at level DEBUG.
requests = logging.getLogger("cache_admin.requests")


class Counts:
    """What the caches were asked: keys found, not found and stored, and the seconds that all operations took."""

    __slots__ = ("hits", "lock", "misses", "seconds", "sets")

    def __init__(self) -> None:
        self.hits = self.misses = self.sets = 0
        self.seconds = 0.0
        self.lock = threading.Lock()  # an async view may use caches in two threads at once

    @property
    def hit_rate(self) -> float | None:
        """Keys found of all that were looked up, 0 to 1; ``None`` without look-ups."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else None

    def headers(self) -> dict[str, str]:
        found = {"X-Cache-Hits": str(self.hits), "X-Cache-Misses": str(self.misses), "X-Cache-Sets": str(self.sets)}
        if self.hit_rate is not None:
            found["X-Cache-Hit-Rate"] = f"{self.hit_rate:.1%}"
        return found

    @property
    def timing(self) -> str:
        """As an entry of ``Server-Timing``, in milliseconds."""
        return f'cache;dur={self.seconds * 1000:.2f};desc="{self.hits} hits, {self.misses} misses, {self.sets} sets"'


#: By the hash of a session cookie: whether it is of staff, and until when (monotonic) that is believed.
_sessions: dict[int, tuple[bool, float]] = {}
_MOST_SESSIONS, _REMEMBERED = 10_000, 60.0

_counts: ContextVar[Counts | None] = ContextVar("cache_admin_counts", default=None)


def count(alias: str, event: Event, keys: Sequence[Any], seconds: float, stored: Stored = None) -> None:
    """The listener: adds an operation to the request in whose context it happened."""
    counts = _counts.get()
    if counts is None:
        return
    with counts.lock:
        counts.seconds += seconds
        if event == "hit":
            counts.hits += len(keys)
        elif event == "miss":
            counts.misses += len(keys)
        elif event == "set":
            counts.sets += len(keys)


class CacheMonitoringMiddleware:
    """Counts the cache operations of each request, sync and async; who sees the headers is set by ``HEADERS_FOR``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        instrument.listen(count)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        counts, response = Counts(), None
        token = _counts.set(counts)
        try:
            response = self.get_response(request)
        finally:
            _counts.reset(token)
            if response is None:
                _log(request, None, counts)
        if _for_everyone() or (_for_staff() and _is_staff(request)):
            _show(response, counts)
        return _logged(request, response, counts)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        counts, response = Counts(), None
        token = _counts.set(counts)
        try:
            response = await self.get_response(request)
        finally:
            _counts.reset(token)
            if response is None:
                _log(request, None, counts)
        if _for_everyone() or (_for_staff() and await _ais_staff(request)):
            _show(response, counts)
        return _logged(request, response, counts)


def _for_everyone() -> bool:
    return conf.current().HEADERS_FOR == "everyone"


def _for_staff() -> bool:
    return conf.current().HEADERS_FOR == "staff"


def _is_staff(request: HttpRequest) -> bool:
    """Asks the user of the request, which may be the first to do so, after the view. The response is ready: nothing
    that goes wrong here may cost it."""
    try:
        if (known := _remembered(request)) is None:
            user = getattr(request, "user", None)
            known = _remember(request, bool(user and user.is_active and user.is_staff))
    except Exception:
        logger.warning("Who sent a request cannot be told; it gets no cache headers.", exc_info=True)
        return False
    return known


async def _ais_staff(request: HttpRequest) -> bool:
    try:
        if (known := _remembered(request)) is None:
            user = await request.auser() if hasattr(request, "auser") else None
            known = _remember(request, bool(user and user.is_active and user.is_staff))
    except Exception:
        logger.warning("Who sent a request cannot be told; it gets no cache headers.", exc_info=True)
        return False
    return known


def _remembered(request: HttpRequest) -> bool | None:
    """Whether the sender is staff, if that is known without asking: a page that does not ask who its visitor is shall
    not cost a session and a user for these headers, at most once a minute for each session."""
    user = request.__dict__.get("user")
    if not isinstance(user, SimpleLazyObject) or user.__dict__.get("_wrapped") is not empty:
        return None
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if cookie is None:
        return False
    known, until = _sessions.get(hash(cookie), (None, 0.0))
    return known if time.monotonic() < until else None


def _remember(request: HttpRequest, known: bool) -> bool:
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if cookie is not None:
        if len(_sessions) >= _MOST_SESSIONS:
            _sessions.clear()
        _sessions[hash(cookie)] = known, time.monotonic() + _REMEMBERED
    return known


def _show(response: HttpResponseBase, counts: Counts) -> None:
    for name, value in counts.headers().items():
        response.headers[name] = value
    timings = [response.headers["Server-Timing"]] if "Server-Timing" in response.headers else []
    response.headers["Server-Timing"] = ", ".join([*timings, counts.timing])


def _logged(request: HttpRequest, response: Any, counts: Counts) -> HttpResponseBase:
    """The response, logged now or, if it streams, when it is closed. A file that the server sends by itself asks no
    cache."""
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        kind = _AsyncChunks if response.is_async else _Chunks
        response.streaming_content = kind(
            response.streaming_content, counts, lambda: _log(request, response.status_code, counts)
        )
    else:
        _log(request, response.status_code, counts)
    return response  # type: ignore[no-any-return]


def _log(request: HttpRequest, status: int | None, counts: Counts) -> None:
    if requests.isEnabledFor(logging.DEBUG):
        requests.debug(
            "%s %s %s: %d hits, %d misses, %d sets, %.2f ms in caches",
            request.method,
            escape_uri_path(request.path),
            "raised" if status is None else status,
            counts.hits,
            counts.misses,
            counts.sets,
            counts.seconds * 1000,
        )


class _Chunks:
    """A body that is made chunk by chunk, each in the context of its request. The response calls ``close`` at its
    end."""

    def __init__(self, chunks: Any, counts: Counts, close: Callable[[], None]) -> None:
        self.chunks, self.counts, self.close = chunks, counts, close

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        token = _counts.set(self.counts)
        try:
            return next(self.chunks)
        finally:
            _counts.reset(token)


class _AsyncChunks(_Chunks):
    __iter__ = None  # type: ignore[assignment]

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        token = _counts.set(self.counts)
        try:
            return await anext(self.chunks)
        finally:
            _counts.reset(token)

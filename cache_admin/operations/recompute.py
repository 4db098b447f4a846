"""Is a cached value stale? Its owner computes it anew, and the two are compared. The key is not written."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from django.db import connections
from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.adapters.base import Adapter, RawValue
from cache_admin.caching.lazy import evaluated
from cache_admin.caching.owners import Owner, owner_of
from cache_admin.exceptions import CacheAdminError, Unsupported
from cache_admin.values.difference import Difference, difference
from cache_admin.values.masking import Mask
from cache_admin.values.sealed import Sealed, unseal
from cache_admin.values.tree import INFLATE_LIMIT

logger = logging.getLogger(__name__)
#: Seconds that a page waits for the function.
LONGEST = 20.0
#: Functions that one process lets run for pages at once, those among them that nobody waits for any more.
MOST_AT_ONCE = 4
_MOST_WORDS = 500
_running: list[_Run] = []
_lock = threading.Lock()


class Failed(CacheAdminError):
    """The project's function failed, or took too long. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``seconds`` is how long computing took now; ``cached`` what was stored, and when it was computed."""

    owner: Owner
    cached: Sealed
    difference: Difference
    seconds: float


def owner(cache: Adapter, raw: bytes) -> Owner | None:
    """Who fills a raw key, as far as the caching library knows."""
    user = cache.codec.user(raw)
    return None if user is None else owner_of(cache.alias, user)


def compare(alias: str, raw: bytes) -> Comparison:
    """Computes the value of a key anew, in a thread of its own, and compares it with the cached one.

    The function runs as it would in a background job: in the site's language and time zone, without a request. Raises
    :class:`Unsupported` where nobody can compute it, :class:`Failed` in words, and what reading raises.
    """
    cache = adapter(alias)
    found = owner(cache, raw)
    if found is None or found.recompute is None:
        raise Unsupported(_("Nothing that can be called again is known to fill this key."))
    if Mask.current().key(cache.codec.user(raw) or ""):
        raise Unsupported(_("All of this key is masked by MASKED_KEYS."))
    stored = cache.read(raw, limit=INFLATE_LIMIT)
    if stored.type == "none":
        raise Unsupported(_("This key is gone: it expired, was evicted, or was deleted."))
    cached = unseal(stored, cache.storage)
    run = _Run(cache, found, cache.codec.user(raw) or "", cached.call)
    _begin(run)
    run.join(LONGEST)
    if run.is_alive():
        text = _("%(owner)s has not answered within %(seconds)g seconds. It goes on in the background, for nobody.")
        raise Failed(text % {"owner": found.name, "seconds": LONGEST})
    if run.problem:
        raise Failed(run.problem)
    data = run.data
    cut = len(data) > INFLATE_LIMIT
    fresh = unseal(RawValue("string", len(data), data=data[:INFLATE_LIMIT], truncated=cut), cache.storage)
    compared = difference(cached.item, fresh.item)
    if cached.truncated or fresh.truncated:
        compared = Difference(compared.lines, compared.equal, compared.masked, cut=True)
    return Comparison(found, cached, compared, run.seconds)


def _begin(run: _Run) -> None:
    """Starts it, unless its value is being computed already, or many others are. Raises :class:`Failed`."""
    with _lock:
        _running[:] = [other for other in _running if other.is_alive()]
        if any(other.place == run.place for other in _running):
            raise Failed(_("This value is being computed already, by somebody who asked before. Try again later."))
        if len(_running) >= MOST_AT_ONCE:
            text = _("%(number)d values are being computed for comparison in this worker. Try again later.")
            raise Failed(text % {"number": len(_running)})
        run.start()
        _running.append(run)


class _Run(threading.Thread):
    """One call of an owner. A thread of its own can be left alone when it hangs, and has its own connections."""

    def __init__(self, cache: Adapter, found: Owner, key: str, call: str) -> None:
        super().__init__(name="cache-admin-recompute", daemon=True)
        self._cache, self._owner, self._key, self._call = cache, found, key, call
        self.place = cache.alias, key
        self.data = b""
        self.seconds = 0.0
        #: In words; stays where the function ends its thread, as ``sys.exit`` does.
        self.problem = _("%(owner)s ended without a value.") % {"owner": found.name}

    def run(self) -> None:
        began = time.perf_counter()
        try:
            value = self._owner.recompute(self._key, self._call)  # type: ignore[misc]
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
            value = evaluated(value)
            self.seconds = time.perf_counter() - began
            self.data = self._cache.encode(value)
            self.problem = ""
        except Exception as error:
            self.problem = _in_words(self._owner, error)
            logger.warning("Recomputing a value of %s failed: %s", self._owner.name, type(error).__name__)
        finally:
            connections.close_all()


async def _awaited(value: Awaitable[object]) -> object:
    return await value


def _in_words(found: Owner, error: Exception) -> str:
    if type(error) is LookupError or isinstance(error, CacheAdminError):
        return str(error)
    said = f"{type(error).__name__}: {error}"[:_MOST_WORDS]
    if Mask.current().shape(said):
        said = type(error).__name__
    return _("%(owner)s failed. %(error)s") % {"owner": found.name, "error": said}


def _after_fork() -> None:
    """The functions stay with the parent."""
    global _lock
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)

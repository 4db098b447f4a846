"""Who is told what the project's caches are asked, and how a failure among them stays there.

A listener is called as ``listener(alias, event, keys, seconds, stored)`` in the thread or task of an operation, after
it:

========== ==========================================================================================================
``hit``    keys that ``get``, ``get_many``, ``has_key``, ``in`` or ``get_or_set`` found; a stored ``None`` is found
``miss``   keys that they did not find, whatever default the caller gave
``set``    keys stored by ``set``, ``set_many``, ``incr_version``, or by an ``add`` or ``get_or_set`` that found none
``delete`` keys whose deletion was asked for
``touch``  keys for which another expiry was asked
``incr``   keys counted up or down
``error``  keys of an operation that raised, or whose caller's function did
``clear``  no keys: the whole cache was emptied
========== ==========================================================================================================

``keys`` are user keys as the caller gave them. ``seconds`` is the time in the cache, without that of the caller's own
functions; an operation with two outcomes makes two calls, the seconds in one of them. ``stored`` comes with a ``set``:
the bytes of each value in the order of ``keys``, ``None`` where that is not plain to see, and the timeout as the caller
gave it. Listeners must be quick, take calls from several threads at once, and use no cache. What they raise is logged
once and goes no further.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

Event = Literal["hit", "miss", "set", "delete", "touch", "incr", "error", "clear"]
#: Sizes and timeout of a ``set``.
Stored = tuple[Sequence[int | None], Any] | None
Listener = Callable[[str, Event, Sequence[Any], float, Stored], object]

logger = logging.getLogger(__name__)

_PLAIN = (str, bytes, bytearray, memoryview)

_listeners: tuple[Listener, ...] = ()
_failed: list[Listener] = []


def size_of(value: object) -> int | None:
    """Bytes (characters of text) of a value where that is plain to see, before a cache serializes it."""
    return len(value) if isinstance(value, _PLAIN) else None


def anybody() -> bool:
    """Whether there is a listener."""
    return bool(_listeners)


def add(listener: Listener) -> None:
    """Tells ``listener`` from now on; once, however often it is added."""
    global _listeners
    if listener not in _listeners:
        _listeners = (*_listeners, listener)


def remove(listener: Listener) -> None:
    """Tells ``listener`` no more."""
    global _listeners
    _listeners = tuple(other for other in _listeners if other != listener)
    _failed[:] = [other for other in _failed if other != listener]


def tell(alias: str, event: Event, keys: Sequence[Any], seconds: float, stored: Stored = None) -> None:
    """Calls every listener."""
    for listener in _listeners:
        try:
            listener(alias, event, keys, seconds, stored)
        except Exception:
            if listener not in _failed:
                _failed.append(listener)
                logger.exception("A listener to the caches failed; its further failures are not logged.")

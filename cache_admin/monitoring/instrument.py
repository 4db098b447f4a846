"""Puts the project's caches under watch while somebody listens; else Django's cache framework is as it was.

:func:`listen` is for start-up: it reaches the caches that are made from then on in all threads, and those that this
thread has already, however they are referred to. Left alone are caches that are no ``BaseCache``, and classes with
slots, ``__del__``, ``__new__`` or ``__setattr__`` of their own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache import BaseCache, CacheHandler, caches

from cache_admin.monitoring import listeners
from cache_admin.monitoring.listeners import Listener
from cache_admin.monitoring.watched import Watched
from cache_admin.monitoring.watching import can_watch, watched_class

logger = logging.getLogger(__name__)

_lock = threading.Lock()
#: ``CacheHandler.create_connection`` as it was, while ours is in its place.
_create: Any = None


def listen(listener: Listener) -> None:
    """Tells ``listener`` of every cache operation of this process from now on, see ``listeners.py``; once, however
    often it is called."""
    with _lock:
        listeners.add(listener)
        _install()


def unlisten(listener: Listener) -> None:
    """Tells ``listener`` no more. After the last one the caches that this thread can reach are as they were; others
    tell nobody."""
    with _lock:
        listeners.remove(listener)
        if not listeners.anybody():
            _uninstall()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Listens for the length of a ``with`` block; for tests and scripts."""
    listen(listener)
    try:
        yield
    finally:
        unlisten(listener)


def watch(cache: BaseCache, alias: str) -> BaseCache:
    """The cache under watch: another object with the same attributes, or the cache itself if it must be left alone."""
    kind = _watched_class(cache, alias)
    if kind is None:
        return cache
    watched: Any = object.__new__(kind)
    watched.__dict__ = cache.__dict__
    watched._watched_plain = cache
    return watched  # type: ignore[no-any-return]


def _watched_class(cache: object, alias: str, *, in_place: bool = False) -> Any:
    kind: Any = type(cache)
    if not can_watch(kind):
        return None
    try:
        return watched_class(kind, alias, in_place=in_place)
    except Exception:  # of an __init_subclass__ of the project's own
        logger.warning("The caches of %s cannot be watched.", kind.__qualname__, exc_info=True)
        return None


def _create_watched(self: CacheHandler, alias: str) -> BaseCache:
    cache: BaseCache = _create(self, alias)
    return watch(cache, alias) if listeners.anybody() else cache


def _existing() -> list[tuple[str, Any]]:
    made: Any = caches._connections  # type: ignore[attr-defined]  # caches[alias] would make them
    return [(alias, getattr(made, alias)) for alias in caches if hasattr(made, alias)]


def _install() -> None:
    global _create
    if _create is None:
        _create = CacheHandler.create_connection
        CacheHandler.create_connection = _create_watched  # type: ignore[method-assign]
    for alias, cache in _existing():
        if kind := _watched_class(cache, alias, in_place=True):
            cache.__class__ = kind


def _uninstall() -> None:
    global _create
    if CacheHandler.create_connection is _create_watched:  # else somebody built on it, and it passes all through
        CacheHandler.create_connection = _create  # type: ignore[method-assign]
        _create = None
    for alias, cache in _existing():
        if not isinstance(cache, Watched):
            continue
        if "_watched_plain" in type(cache).__slots__:
            caches[alias] = cache._watched_plain
        else:
            cache.__class__ = cache._watched_class

"""A cache that tells listeners what it is asked, see :mod:`~cache_admin.monitoring.listeners`.

A watched cache is of a subclass of its own class (``watching.py`` makes them), shares the attributes of the *plain*
cache and calls the methods of its class on that one. What those call of their own (``get_many`` of the database cache
below ``get``, say) is thus not told, while calls of another cache are, and so are those of a callable given to
``get_or_set``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from django.core.cache import BaseCache
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cache_admin.monitoring.listeners import size_of, tell
from cache_admin.monitoring.telling import added, asked, counting, each_asked, nothing, stored_of, telling

MISSING = object()


def _default(alias: str, key: Any, default: Any, began: float, made: list[float]) -> Any:
    """The caller's default of a ``get_or_set``. That it is asked for is the miss; ``made`` gets the time after it."""
    tell(alias, "miss", (key,), perf_counter() - began)
    try:
        return default() if callable(default) else default
    finally:
        made.append(perf_counter())


def _set_by(result: Any, made: Sequence[float], timeout: Any) -> Any:
    """Event and what was stored of a ``get_or_set`` that gave ``result``."""
    return ("set", ((size_of(result),), timeout)) if made else ("hit", None)


def _tell_each(alias: str, keys: Sequence[Any], found: Any, seconds: float) -> None:
    """``found`` is what ``get_many`` or ``has_key`` answered."""
    if not keys:
        return
    if not found or not isinstance(found, Mapping):
        tell(alias, "hit" if found else "miss", keys, seconds)
        return
    try:
        hits = [key for key in keys if key in found]
    except TypeError:  # unhashable keys: no result can name them
        hits = []
    if hits:
        tell(alias, "hit", hits, seconds)
    if len(hits) < len(keys):
        tell(alias, "miss", [key for key in keys if key not in found] if hits else keys, 0.0 if hits else seconds)


def _each(keys: Iterable[Any]) -> list[Any]:
    """Every key once, in order; an iterator is read only here."""
    keys = [*keys]
    try:
        return [*dict.fromkeys(keys)]
    except TypeError:  # unhashable; what that means is for the cache to say
        return keys


class Watched(BaseCache):
    """What stands before a cache's own class, whose ``get`` gives any default back as it was."""

    __slots__ = ()
    _watched_alias: str
    _watched_class: Any
    _watched_plain: Any

    def get(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            if args or kwargs:
                value = self._watched_class.get(self._watched_plain, key, MISSING, version, *args, **kwargs)
            else:
                value = self._watched_class.get(self._watched_plain, key, MISSING, version)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        if value is MISSING:
            tell(self._watched_alias, "miss", (key,), perf_counter() - began)
            return default
        tell(self._watched_alias, "hit", (key,), perf_counter() - began)
        return value

    async def aget(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            value = await self._watched_class.aget(self._watched_plain, key, MISSING, version, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        found = value is not MISSING
        tell(self._watched_alias, "hit" if found else "miss", (key,), perf_counter() - began)
        return value if found else default

    def get_or_set(self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        made: list[float] = []
        answer = functools.partial(_default, self._watched_alias, key, default, began, made)
        try:
            value = self._watched_class.get_or_set(self._watched_plain, key, answer, timeout, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - (made[-1] if made else began))
            raise
        event, stored = _set_by(value, made, timeout)
        tell(self._watched_alias, event, (key,), perf_counter() - (made[-1] if made else began), stored)
        return value

    async def aget_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any
    ) -> Any:
        began = perf_counter()
        made: list[float] = []
        answer = functools.partial(_default, self._watched_alias, key, default, began, made)
        try:
            value = await self._watched_class.aget_or_set(self._watched_plain, key, answer, timeout, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - (made[-1] if made else began))
            raise
        event, stored = _set_by(value, made, timeout)
        tell(self._watched_alias, event, (key,), perf_counter() - (made[-1] if made else began), stored)
        return value

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            if args or kwargs:
                result = self._watched_class.set(self._watched_plain, key, value, timeout, *args, **kwargs)
            else:
                result = self._watched_class.set(self._watched_plain, key, value, timeout)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        if result is not False:  # most caches answer None
            tell(self._watched_alias, "set", (key,), perf_counter() - began, ((size_of(value),), timeout))
        return result

    async def aset(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = await self._watched_class.aset(self._watched_plain, key, value, timeout, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        if result is not False:
            tell(self._watched_alias, "set", (key,), perf_counter() - began, ((size_of(value),), timeout))
        return result

    def has_key(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._watched_look_up((key,), "has_key", key, *args, **kwargs)

    async def ahas_key(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._watched_alook_up((key,), "ahas_key", key, *args, **kwargs)

    def get_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        keys = _each(keys)
        return self._watched_look_up(keys, "get_many", keys, *args, **kwargs)

    async def aget_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        keys = _each(keys)
        return await self._watched_alook_up(keys, "aget_many", keys, *args, **kwargs)

    def _watched_look_up(self, keys: Sequence[Any], name: str, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            found = getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", keys, perf_counter() - began)
            raise
        _tell_each(self._watched_alias, keys, found, perf_counter() - began)
        return found

    async def _watched_alook_up(self, keys: Sequence[Any], name: str, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            found = await getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", keys, perf_counter() - began)
            raise
        _tell_each(self._watched_alias, keys, found, perf_counter() - began)
        return found

    def delete_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        return self._watched_delete_many(_each(keys), *args, **kwargs)

    async def adelete_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        return await self._watched_adelete_many(_each(keys), *args, **kwargs)

    _watched_delete_many = telling("delete_many", "delete", each_asked)
    _watched_adelete_many = telling("adelete_many", "delete", each_asked)
    add, aadd = telling("add", "set", added), telling("aadd", "set", added)
    set_many, aset_many = telling("set_many", "set", stored_of), telling("aset_many", "set", stored_of)
    incr_version, aincr_version = telling("incr_version", "set", asked), telling("aincr_version", "set", asked)
    decr_version, adecr_version = telling("decr_version", "set", asked), telling("adecr_version", "set", asked)
    delete, adelete = telling("delete", "delete", asked), telling("adelete", "delete", asked)
    touch, atouch = telling("touch", "touch", asked), telling("atouch", "touch", asked)
    incr, aincr = counting("incr"), counting("aincr")
    decr, adecr = counting("decr"), counting("adecr")
    clear, aclear = telling("clear", "clear", nothing), telling("aclear", "clear", nothing)

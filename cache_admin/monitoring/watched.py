"""A cache that tells listeners what it is asked, see :mod:`~cache_admin.monitoring.listeners`.

A watched cache is of a subclass of its own class, shares the attributes of the *plain* cache and calls the methods of
its class on that one. What those call of their own (``get_many`` of the database cache below ``get``, say) is thus not
told, while calls of another cache are, and so are those of a callable given to ``get_or_set``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from django.core.cache import BaseCache

from cache_admin.monitoring.listeners import Event, tell

_MISSING = object()


def _default(alias: str, key: Any, default: Any, began: float, made: list[float]) -> Any:
    """The caller's default of a ``get_or_set``. That it is asked for is the miss; ``made`` gets the time after it."""
    tell(alias, "miss", (key,), perf_counter() - began)
    try:
        return default() if callable(default) else default
    finally:
        made.append(perf_counter())


def _tell_each(alias: str, keys: Sequence[Any], found: Any, seconds: float) -> None:
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


def _telling(name: str, event: Event, keys: Callable[..., Sequence[Any]]) -> Any:
    """The method ``name`` of :class:`BaseCache`, sync or async, that tells of ``keys(result, *arguments)``."""
    original = getattr(BaseCache, name)

    def told(cache: Watched, began: float, result: Any, args: Any, kwargs: Any) -> Any:
        seconds = perf_counter() - began
        try:
            touched = keys(result, *args, **kwargs)
        except TypeError:  # the class calls its parameters something else
            return result
        if touched or event == "clear":
            tell(cache._watched_alias, event, touched, seconds)
        return result

    if iscoroutinefunction(original):

        @functools.wraps(original)
        async def amethod(self: Watched, *args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            result = await getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
            return told(self, began, result, args, kwargs)

        return amethod

    @functools.wraps(original)
    def method(self: Watched, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        result = getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
        return told(self, began, result, args, kwargs)

    return method


def _asked(result: Any, key: Any, *args: Any, **kwargs: Any) -> Sequence[Any]:
    return (key,)


def _added(result: Any, key: Any, *args: Any, **kwargs: Any) -> Sequence[Any]:
    return (key,) if result else ()


def _stored_of(result: Any, data: Any, *args: Any, **kwargs: Any) -> Sequence[Any]:
    return [key for key in data if key not in result] if isinstance(result, list) else [*data]


def _nothing(result: Any, *args: Any, **kwargs: Any) -> Sequence[Any]:
    return ()


class Watched(BaseCache):
    """What stands before a cache's own class; ``watched_class`` puts the two together."""

    __slots__ = ()
    _watched_alias: str
    _watched_class: Any
    _watched_plain: Any

    def get(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        if args or kwargs:
            value = self._watched_class.get(self._watched_plain, key, _MISSING, version, *args, **kwargs)
        else:
            value = self._watched_class.get(self._watched_plain, key, _MISSING, version)
        if value is _MISSING:
            tell(self._watched_alias, "miss", (key,), perf_counter() - began)
            return default
        tell(self._watched_alias, "hit", (key,), perf_counter() - began)
        return value

    async def aget(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        value = await self._watched_class.aget(self._watched_plain, key, _MISSING, version, *args, **kwargs)
        found = value is not _MISSING
        tell(self._watched_alias, "hit" if found else "miss", (key,), perf_counter() - began)
        return value if found else default

    def has_key(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        found = self._watched_class.has_key(self._watched_plain, key, *args, **kwargs)
        tell(self._watched_alias, "hit" if found else "miss", (key,), perf_counter() - began)
        return found

    async def ahas_key(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        found = await self._watched_class.ahas_key(self._watched_plain, key, *args, **kwargs)
        tell(self._watched_alias, "hit" if found else "miss", (key,), perf_counter() - began)
        return found

    def get_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        began, keys = perf_counter(), _each(keys)
        found = self._watched_class.get_many(self._watched_plain, keys, *args, **kwargs)
        _tell_each(self._watched_alias, keys, found or (), perf_counter() - began)
        return found

    async def aget_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        began, keys = perf_counter(), _each(keys)
        found = await self._watched_class.aget_many(self._watched_plain, keys, *args, **kwargs)
        _tell_each(self._watched_alias, keys, found or (), perf_counter() - began)
        return found

    def get_or_set(self, key: Any, default: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        made: list[float] = []
        answer = functools.partial(_default, self._watched_alias, key, default, began, made)
        value = self._watched_class.get_or_set(self._watched_plain, key, answer, *args, **kwargs)
        tell(self._watched_alias, "set" if made else "hit", (key,), perf_counter() - (made[-1] if made else began))
        return value

    async def aget_or_set(self, key: Any, default: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        made: list[float] = []
        answer = functools.partial(_default, self._watched_alias, key, default, began, made)
        value = await self._watched_class.aget_or_set(self._watched_plain, key, answer, *args, **kwargs)
        tell(self._watched_alias, "set" if made else "hit", (key,), perf_counter() - (made[-1] if made else began))
        return value

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        result = self._watched_class.set(self._watched_plain, key, value, *args, **kwargs)
        if result is not False:  # most caches answer None
            tell(self._watched_alias, "set", (key,), perf_counter() - began)
        return result

    async def aset(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        result = await self._watched_class.aset(self._watched_plain, key, value, *args, **kwargs)
        if result is not False:
            tell(self._watched_alias, "set", (key,), perf_counter() - began)
        return result

    def delete_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        began, keys = perf_counter(), _each(keys)
        result = self._watched_class.delete_many(self._watched_plain, keys, *args, **kwargs)
        tell(self._watched_alias, "delete", keys, perf_counter() - began)
        return result

    async def adelete_many(self, keys: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        began, keys = perf_counter(), _each(keys)
        result = await self._watched_class.adelete_many(self._watched_plain, keys, *args, **kwargs)
        tell(self._watched_alias, "delete", keys, perf_counter() - began)
        return result

    add, aadd = _telling("add", "set", _added), _telling("aadd", "set", _added)
    set_many, aset_many = _telling("set_many", "set", _stored_of), _telling("aset_many", "set", _stored_of)
    incr_version, aincr_version = _telling("incr_version", "set", _asked), _telling("aincr_version", "set", _asked)
    decr_version, adecr_version = _telling("decr_version", "set", _asked), _telling("adecr_version", "set", _asked)
    delete, adelete = _telling("delete", "delete", _asked), _telling("adelete", "delete", _asked)
    touch, atouch = _telling("touch", "touch", _asked), _telling("atouch", "touch", _asked)
    incr, aincr = _telling("incr", "incr", _asked), _telling("aincr", "incr", _asked)
    decr, adecr = _telling("decr", "incr", _asked), _telling("adecr", "incr", _asked)
    clear, aclear = _telling("clear", "clear", _nothing), _telling("aclear", "clear", _nothing)


def _twin(cache: Watched) -> BaseCache:
    """A plain cache with the attributes of a watched one, made for one call: kept among them, it would keep itself."""
    twin: BaseCache = object.__new__(cache._watched_class)
    twin.__dict__ = cache.__dict__
    return twin


def can_watch(kind: type) -> bool:
    """Whether two objects of a class may share their attributes, and one of them come and go."""
    return (
        issubclass(kind, BaseCache)
        and not issubclass(kind, Watched)
        and kind.__new__ is object.__new__
        and kind.__setattr__ is object.__setattr__
        and not hasattr(kind, "__del__")
        and not any(base.__dict__.get("__slots__") for base in kind.__mro__)
    )


@functools.lru_cache(maxsize=256)
def watched_class(kind: type[BaseCache], alias: str, *, in_place: bool = False) -> Any:
    """The watched class of ``kind``, known by the same name. ``in_place``: for objects that are there already."""
    plain = {"__slots__": (), "_watched_plain": property(_twin)} if in_place else {"__slots__": ("_watched_plain",)}
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind.__name__, (Watched, kind), {**names, **plain, "_watched_alias": alias, "_watched_class": kind})

"""Makes the watched class of a cache's own class, see :mod:`~cache_admin.monitoring.watched`."""

from __future__ import annotations

import functools
import inspect
from time import perf_counter
from typing import Any

from django.core.cache import BaseCache

from cache_admin.monitoring.listeners import tell
from cache_admin.monitoring.watched import MISSING, Watched

#: Whose ``get`` gives back any default untouched.
_UNTOUCHED = ("django.core.cache.", "django_redis.", "django_valkey.")


class WatchedOwn(Watched):
    """What stands before a class with a ``get`` of its own. That may unpack any default, or look for ``None``, so it is
    asked with the caller's; whether it gave that back, or a value that happens to be the same, is seen below it."""

    __slots__ = ()
    _watched_asked: Any

    def get(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        asked, began = _twin(self, self._watched_asked), perf_counter()
        try:
            value = self._watched_asked.get(asked, key, default, version, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        tell(self._watched_alias, _event(asked, value, default), (key,), perf_counter() - began)
        return value

    async def aget(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        asked, began = _twin(self, self._watched_asked), perf_counter()
        try:
            value = await self._watched_asked.aget(asked, key, default, version, *args, **kwargs)
        except Exception:
            tell(self._watched_alias, "error", (key,), perf_counter() - began)
            raise
        tell(self._watched_alias, _event(asked, value, default), (key,), perf_counter() - began)
        return value


def _event(asked: Any, value: Any, default: Any) -> Any:
    return "hit" if value is not default or getattr(asked, "_watched_found", MISSING) is value else "miss"


class _Below(BaseCache):
    """Goes between a ``get`` of a class's own and the untouched one below, and keeps what that found."""

    __slots__ = ()
    _watched_found: Any

    def get(self, key: Any, default: Any = None, version: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._watched_found = value = super().get(key, MISSING, version, *args, **kwargs)
        return default if value is MISSING else value


def _twin(cache: Watched, kind: Any = None) -> BaseCache:
    """A plain cache with the attributes of a watched one, made for one call: kept among them, it would keep itself."""
    twin: BaseCache = object.__new__(kind or cache._watched_class)
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
    own = {"_watched_alias": alias, "_watched_class": kind}
    if all(_is_untouched(method) for method in (kind.get, kind.aget)):
        return type(kind.__name__, (Watched, kind), {**_names(kind), **plain, **own})
    return type(kind.__name__, (WatchedOwn, kind), {**_names(kind), **plain, **own, "_watched_asked": _asked(kind)})


def _asked(kind: Any) -> Any:
    """``kind`` with a look below its ``get``; without where a call of ``super`` might not pass there."""
    having = [base for base in kind.__mro__ if "get" in base.__dict__]
    own = [base for base in having if not _is_untouched(base.get)]
    if not all(_calls_super(base.get) for base in own):
        return kind
    base = next(base for base in having if base not in own)
    below = type("Below", (_Below, base), {"__slots__": ()})
    return type(kind.__name__, (kind, below), {**_names(kind), "__slots__": ("_watched_found",)})


def _names(kind: type) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}


def _is_untouched(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).startswith(_UNTOUCHED)


def _calls_super(method: Any) -> bool:
    """Whether it says ``super()``, which finds its way in a subclass too: ``super(type(self), self)`` finds itself."""
    code: Any = getattr(inspect.unwrap(method), "__code__", None)
    return bool(code) and "__class__" in code.co_freevars and {"type", "__class__"}.isdisjoint(code.co_names)

"""Methods of a watched cache that are all alike: they call the plain cache, and tell of its answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from django.core.cache import BaseCache
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cache_admin.monitoring.listeners import Event, Stored, size_of, tell

#: Keys, sizes and timeout of a call: ``told(result, *arguments)``.
Told = tuple[Sequence[Any], Stored]


def telling(name: str, event: Event, told: Callable[..., Told], *, absent: type[Exception] | None = None) -> Any:
    """The method ``name`` of :class:`BaseCache`, sync or async, that tells of ``told(result, *arguments)``.

    ``absent`` is what the method raises for a key that is not there, which is no error of the cache.
    """
    original = getattr(BaseCache, name)

    def tell_of(cache: Any, event: Event, began: float, result: Any, args: Any, kwargs: Any) -> Any:
        seconds = perf_counter() - began
        try:
            keys, stored = told(result, *args, **kwargs)
        except TypeError:  # the class calls its parameters something else
            return
        if keys or event == "clear":
            tell(cache._watched_alias, event, keys, seconds, stored)

    def failed(cache: Any, error: Exception, began: float, args: Any, kwargs: Any) -> None:
        if absent is None or not isinstance(error, absent):
            tell_of(cache, "error", began, True, args, kwargs)

    if iscoroutinefunction(original):

        @functools.wraps(original)
        async def amethod(self: Any, *args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            try:
                result = await getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
            except Exception as error:
                failed(self, error, began, args, kwargs)
                raise
            tell_of(self, event, began, result, args, kwargs)
            return result

        return amethod

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            result = getattr(self._watched_class, name)(self._watched_plain, *args, **kwargs)
        except Exception as error:
            failed(self, error, began, args, kwargs)
            raise
        tell_of(self, event, began, result, args, kwargs)
        return result

    return method


def counting(name: str) -> Any:
    return telling(name, "incr", asked, absent=ValueError)


def asked(result: Any, key: Any, *args: Any, **kwargs: Any) -> Told:
    return (key,), None


def each_asked(result: Any, keys: Any, *args: Any, **kwargs: Any) -> Told:
    return keys, None


def added(result: Any, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any) -> Told:
    return ((key,), ((size_of(value),), timeout)) if result else ((), None)


def stored_of(result: Any, data: Any, timeout: Any = DEFAULT_TIMEOUT, *args: Any, **kwargs: Any) -> Told:
    stored = {key: value for key, value in data.items() if key not in result} if isinstance(result, list) else data
    return [*stored], ([*map(size_of, stored.values())], timeout)


def nothing(result: Any, *args: Any, **kwargs: Any) -> Told:
    return (), None

"""Warmers: functions that fill a cache before anybody asks, written in ``<app>/caching.py``, which is imported."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext as _

from cache_admin.caching.owners import Owner, register
from cache_admin.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Warmer:
    """One way to fill a cache.

    ``function``, sync or async, takes nothing and yields or returns ``(key, value)`` pairs, which are written in
    batches and live for ``timeout`` seconds; or it fills the cache by itself, by calling cached functions, say, and
    returns how many values that were, or nothing. ``patterns`` are globs of the user keys it fills. ``limit`` is the
    most seconds of one run; ``every`` how many may pass between two.
    """

    name: str
    function: Callable[[], Any]
    group: str = ""
    critical: bool = False
    patterns: tuple[str, ...] = ()
    every: float | None = None
    alias: str = DEFAULT_CACHE_ALIAS
    timeout: float | None = 300
    limit: float = 600

    def pairs(self) -> Iterable[tuple[str, Any]] | int:
        """Calls the function: the pairs to write, or the number of values that it wrote itself."""
        found = async_to_sync(self.function)() if iscoroutinefunction(self.function) else self.function()
        if inspect.isasyncgen(found):
            return async_to_sync(_all)(found)
        if found is None:
            return 0
        if isinstance(found, int):
            return found
        pairs: Iterable[tuple[str, Any]] = found.items() if isinstance(found, dict) else found
        return pairs

    @property
    def yields(self) -> bool:
        """Whether its function is a generator, which stores nothing by itself. Of any other that is not known before it
        has run."""
        function = inspect.unwrap(self.function)
        return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    def fresh(self, key: str, call: str = "") -> Any:
        """The value that a generator would yield for a user key now; nothing is stored. ``LookupError`` in words where
        it yields none such."""
        found = self.pairs()
        for name, value in () if isinstance(found, int) else found:
            if name == key:
                return value
        raise LookupError(_("The warmer %(name)s no longer makes this key.") % {"name": self.name})


warmers: Registry[Warmer] = Registry("warmer")


def warmer(
    name: str,
    *,
    group: str = "",
    critical: bool = False,
    patterns: Sequence[str] = (),
    every: float | None = None,
    alias: str = DEFAULT_CACHE_ALIAS,
    timeout: float | None = 300,
    limit: float = 600,
) -> Callable[[F], F]:
    """Decorator: registers a function as a :class:`Warmer`. ``ValueError`` for a name that another function has."""

    def add(function: F) -> F:
        made = Warmer(name, function, group, critical, tuple(patterns), every, alias, timeout, limit)
        if name in warmers.names() and _place(warmers.get(name).function) == _place(function):
            return function  # its module was imported again
        warmers.register(name, made)
        register(Owner(name, "warmer", alias, made.patterns, made.fresh if made.yields else None, timeout))
        return function

    return add


def discover() -> None:
    """Imports ``<app>/caching.py`` of every installed app, so that its warmers and rules are known."""
    autodiscover_modules("caching")


def chosen(names: Sequence[str] = (), *, group: str = "", critical: bool = False) -> tuple[Warmer, ...]:
    """The warmers of these names, or of a group, or the critical ones, or, without any of these, all.

    Raises ``LookupError`` that lists the known ones for a name or group that is not there.
    """
    found = [warmers.get(name) for name in dict.fromkeys(names)] or list(warmers)
    if group and group not in {one.group for one in warmers}:
        known = ", ".join(sorted({one.group for one in warmers if one.group})) or "none"
        raise LookupError(f"No warmers in group {group!r}; known: {known}.")
    return tuple(one for one in found if (not group or one.group == group) and (not critical or one.critical))


async def _all(pairs: AsyncIterator[Any]) -> list[tuple[str, Any]]:
    return [pair async for pair in pairs]


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))

"""Expensive statistics, by day or by object.

A day is a day of the site's own time zone (``TIME_ZONE``), whatever zone is activated for the user who happens to ask:
the value is shared, so it is computed under the site's zone too. A past day is final and kept long, but only if it was
computed after its end: what was computed at noon is never taken for the whole day.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.utils import timezone

from cache_admin.caching.arguments import KeyOption, TagsOption
from cache_admin.caching.compression import Compression, compression
from cache_admin.caching.decorators import AsyncCachedFunction, CachedFunction, _Cached, decorated
from cache_admin.caching.fetching import afetch, akeep, arun, fetch, fresh_ticket, keep, run
from cache_admin.caching.keys import CacheKeyBuilder, clean_prefix
from cache_admin.caching.owners import Owner, register
from cache_admin.caching.storing import Policy, Request

R = TypeVar("R")
Day = datetime.date | datetime.datetime | None
TODAY = 300.0
PAST = 30 * 86_400.0


def local_day(day: Day = None) -> datetime.date:
    """The day of the site's time zone: of ``None`` today, of an aware moment its day there, of a date itself."""
    if isinstance(day, datetime.datetime):
        return timezone.localdate(day, timezone.get_default_timezone()) if timezone.is_aware(day) else day.date()
    if day is not None:
        return day
    return timezone.localdate(timezone=timezone.get_default_timezone()) if settings.USE_TZ else datetime.date.today()


def end_of_day(day: datetime.date) -> float:
    """Unix time of the midnight that ends a day of the site."""
    midnight = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time.min)
    return (timezone.make_aware(midnight, timezone.get_default_timezone()) if settings.USE_TZ else midnight).timestamp()


class StatisticsCache:
    """Statistics that are computed where they are asked for.

    ``timeout`` (seconds) holds for today and for objects, ``past_timeout`` for days that are over. Keys are
    ``<prefix>:<name>:day:<day>`` and ``<prefix>:<name>:<object>``.
    """

    def __init__(
        self,
        alias: str = DEFAULT_CACHE_ALIAS,
        *,
        prefix: str = "statistics",
        timeout: float | None = TODAY,
        past_timeout: float | None = PAST,
    ) -> None:
        self.prefix = prefix
        self._today, self._past = Policy(timeout, alias), Policy(past_timeout, alias)

    def by_day(
        self, name: str, compute: Callable[[datetime.date], R], day: Day = None, *, recalculate: bool = False
    ) -> R:
        """The statistic ``name`` of a day (default: today); ``compute(day)`` makes it, ``recalculate`` in any case."""
        request, of = self._day(name, day)
        return _answer(request, functools.partial(_in_site_zone(compute), of), recalculate)  # type: ignore[no-any-return]

    def by_object(self, name: str, instance: Any, compute: Callable[[Any], R], *, recalculate: bool = False) -> R:
        """The statistic ``name`` of a model instance, or of an id; ``compute(instance)`` makes it."""
        request = self._object(name, instance)
        return _answer(request, functools.partial(_in_site_zone(compute), instance), recalculate)  # type: ignore[no-any-return]

    async def aby_day(
        self,
        name: str,
        compute: Callable[[datetime.date], Awaitable[R] | R],
        day: Day = None,
        *,
        recalculate: bool = False,
    ) -> R:
        """Async twin of :meth:`by_day`; ``compute`` is a coroutine function, or a sync one, which runs in a thread."""
        request, of = self._day(name, day)
        return await _aanswer(request, compute, of, recalculate)  # type: ignore[no-any-return]

    async def aby_object(
        self, name: str, instance: Any, compute: Callable[[Any], Awaitable[R] | R], *, recalculate: bool = False
    ) -> R:
        """Async twin of :meth:`by_object`."""
        return await _aanswer(self._object(name, instance), compute, instance, recalculate)  # type: ignore[no-any-return]

    def _day(self, name: str, day: Day) -> tuple[Request, datetime.date]:
        of = local_day(day)
        past = of < local_day()
        policy, not_before = (self._past, end_of_day(of)) if past else (self._today, 0.0)
        key = CacheKeyBuilder.build_key(f"{self.prefix}:{name}", day=of)
        return Request(policy, key, not_before=not_before, owner=self._owner(name)), of

    def _object(self, name: str, instance: Any) -> Request:
        key = CacheKeyBuilder.build_key(f"{self.prefix}:{name}", instance)
        return Request(self._today, key, owner=self._owner(name))

    def _owner(self, name: str) -> str:
        pattern = f"{clean_prefix(f'{self.prefix}:{name}')}:*"
        policy = self._today
        return register(
            Owner(f"{self.prefix}.{name}", "statistic", policy.alias, (pattern,), None, policy.timeout)
        ).name


class _Dated(_Cached[Any]):
    """Puts the day of the site in place of the argument ``day``, and lets past days live longer."""

    def __init__(
        self, func: Callable[..., Any], policy: Policy, key: KeyOption, tags: TagsOption, kind: str, past: Policy
    ) -> None:
        super().__init__(_in_site_zone(func), policy, key, tags, kind)
        if "recalculate" in self.bind.names:
            raise TypeError(f"{self.owner.name}: recalculate is taken by @statistic, the function cannot have it too.")
        self._past = past
        self._place = self.bind.names.index("day") if "day" in self.bind.names else None

    def ask(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        if self._place is None:
            return super().ask(args, kwargs)
        if len(args) > self._place:
            of = local_day(args[self._place])
            args = (*args[: self._place], of, *args[self._place + 1 :])
        else:
            of = local_day(kwargs.get("day"))
            kwargs = {**kwargs, "day": of}
        request = super().ask(args, kwargs)
        if of < local_day():
            request = request._replace(policy=self._past, not_before=end_of_day(of))
        return request


class Statistic(_Dated, CachedFunction[..., R]):
    """A statistic. Made by :func:`statistic`."""

    def __call__(self, *args: Any, recalculate: bool = False, **kwargs: Any) -> R:
        return self.refresh(*args, **kwargs) if recalculate else super().__call__(*args, **kwargs)


class AsyncStatistic(_Dated, AsyncCachedFunction[..., R]):
    """A statistic of a coroutine function."""

    async def __call__(self, *args: Any, recalculate: bool = False, **kwargs: Any) -> R:
        return await (self.refresh(*args, **kwargs) if recalculate else super().__call__(*args, **kwargs))


class Decorate(Protocol):
    """The decorator that :func:`statistic` returns."""

    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, R]], /) -> AsyncStatistic[R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, func: Callable[..., R], /) -> Statistic[R]: ...


def statistic(
    timeout: float | None = TODAY,
    past_timeout: float | None = PAST,
    *,
    key: KeyOption = None,
    alias: str = DEFAULT_CACHE_ALIAS,
    tags: TagsOption = (),
    stale: float = 0,
    jitter: float = 0,
    compress: bool | Compression = False,
    lock_timeout: float = 60,
) -> Decorate:
    """:func:`~cache_admin.caching.decorators.cache_result` for statistics.

    A function with an argument ``day`` is one by day: called without it, it is today's, and days that are over are kept
    for ``past_timeout`` seconds. Any other is one by its arguments. Both take ``recalculate=True`` besides.
    """
    today, past = (
        Policy(
            seconds,
            alias,
            stale=stale,
            jitter=jitter,
            lock_timeout=lock_timeout,
            compress=compression(compress),
        )
        for seconds in (timeout, past_timeout)
    )
    made: Any = (functools.partial(Statistic, past=past), functools.partial(AsyncStatistic, past=past))
    return functools.partial(decorated, policy=today, key=key, tags=tags, kind="statistic", made=made)


def _answer(request: Request, compute: Callable[[], Any], recalculate: bool) -> Any:
    if not recalculate:
        return fetch(request, compute)
    return keep(request, run(fresh_ticket(request), request.policy.alias), compute)


async def _aanswer(request: Request, compute: Callable[[Any], Any], of: Any, recalculate: bool) -> Any:
    there = _in_site_zone(compute)
    asked: Any = functools.partial(there if iscoroutinefunction(compute) else sync_to_async(there), of)
    if not recalculate:
        return await afetch(request, asked)
    return await akeep(request, await arun(fresh_ticket(request), request.policy.alias), asked)


def _in_site_zone(func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, run under the site's time zone: ``created__date=day`` means that zone's day then."""
    if iscoroutinefunction(func):

        @functools.wraps(func)
        async def arun_there(*args: Any, **kwargs: Any) -> Any:
            with timezone.override(timezone.get_default_timezone()):
                return await func(*args, **kwargs)

        return arun_there

    @functools.wraps(func)
    def run_there(*args: Any, **kwargs: Any) -> Any:
        with timezone.override(timezone.get_default_timezone()):
            return func(*args, **kwargs)

    return run_there

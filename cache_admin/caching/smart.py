"""``SmartCache``: one alias, with what Django's cache object lacks. Its plain values stay readable by ``cache.get``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cache_admin.caching.compression import Compression, compression
from cache_admin.caching.envelope import opened
from cache_admin.caching.fetching import afetch, arun, dropped, fetch, fresh_ticket, run
from cache_admin.caching.lazy import aevaluated, evaluated
from cache_admin.caching.patterns import delete_matching
from cache_admin.caching.storing import Do, Flow, Policy, Request, read, store
from cache_admin.caching.tags import invalidate_tags, stamps_in, tag_key, tag_names

R = TypeVar("R")


class SmartCache:
    """One alias of ``CACHES``. Stateless: make one wherever it is needed. Async twins begin with ``a``."""

    def __init__(self, alias: str = DEFAULT_CACHE_ALIAS) -> None:
        self.alias = alias

    def get(self, key: str, default: Any = None) -> Any:
        """The value under ``key``, however this library or ``cache.set`` stored it; ``default`` if there is none, it
        is stale, or one of its tags was invalidated. One round trip, two for a value with tags."""
        return run(_looked_up([key]), self.alias).get(key, default)

    async def aget(self, key: str, default: Any = None) -> Any:
        """Async twin of :meth:`get`."""
        return (await arun(_looked_up([key]), self.alias)).get(key, default)

    def set(
        self,
        key: str,
        value: object,
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        tags: Sequence[str] = (),
        compress: bool | Compression = False,
    ) -> None:
        """Stores a value for ``timeout`` seconds (``None``: for ever; the alias's default if left out).

        Querysets and generators become lists. Large values are compressed on request; then, and with ``tags``, only
        this library reads them. An invalidation of a tag that came while the value was computed is not noticed here:
        :meth:`get_or_set_with_lock` does.
        """
        run(self._setting(key, evaluated(value), timeout, tags, compression(compress)), self.alias)

    async def aset(
        self,
        key: str,
        value: object,
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        tags: Sequence[str] = (),
        compress: bool | Compression = False,
    ) -> None:
        """Async twin of :meth:`set`."""
        plain = await aevaluated(value)
        await arun(self._setting(key, plain, timeout, tags, compression(compress)), self.alias)

    def delete(self, key: str) -> bool:
        """Removes a value; one that is being computed under its lock is not stored. Whether it was there."""
        return run(dropped(key), self.alias)

    async def adelete(self, key: str) -> bool:
        """Async twin of :meth:`delete`."""
        return await arun(dropped(key), self.alias)

    def get_or_set_with_lock(
        self,
        key: str,
        fn: Callable[[], R],
        timeout: float | None,
        lock_timeout: float = 10,
        *,
        tags: Sequence[str] = (),
        stale: float = 0,
        jitter: float = 0,
        beta: float = 0,
        wait: float | None = None,
        compress: bool | Compression = False,
    ) -> R:
        """The value under ``key``; if there is none, one caller of all processes computes it and the others wait.

        A caller waits for ``wait`` seconds (default: ``lock_timeout``), then computes without the lock. With ``stale``
        the others get the stale value meanwhile; with ``beta`` (1 is the optimum of the paper) a value is refreshed
        before its time, the sooner the longer it takes to compute. See :class:`~cache_admin.caching.storing.Policy`.
        """
        policy = self._policy(timeout, lock_timeout, stale, jitter, beta, wait, compress)
        return fetch(Request(policy, key, tag_names(tags)), fn)  # type: ignore[no-any-return]

    async def aget_or_set_with_lock(
        self,
        key: str,
        fn: Callable[[], Awaitable[R] | R],
        timeout: float | None,
        lock_timeout: float = 10,
        *,
        tags: Sequence[str] = (),
        stale: float = 0,
        jitter: float = 0,
        beta: float = 0,
        wait: float | None = None,
        compress: bool | Compression = False,
    ) -> R:
        """Async twin of :meth:`get_or_set_with_lock`; ``fn`` is a coroutine function, or a sync one, which then runs
        in a thread."""
        policy = self._policy(timeout, lock_timeout, stale, jitter, beta, wait, compress)
        compute: Any = fn if iscoroutinefunction(fn) else sync_to_async(fn)
        return await afetch(Request(policy, key, tag_names(tags)), compute)  # type: ignore[no-any-return]

    def get_many_with_fallback(
        self,
        keys: Iterable[str],
        fallback: Callable[[list[str]], Mapping[str, Any]],
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        compress: bool | Compression = False,
    ) -> dict[str, Any]:
        """The values of ``keys`` in their order, the missing ones from one call of ``fallback`` and stored in one go.

        ``fallback`` gets the missing keys, each once. What it does not know is left out of the result and asked for
        again next time; what nobody asked for is ignored; ``None`` is a value.
        """
        wanted = list(dict.fromkeys(keys))
        found = run(_looked_up(wanted), self.alias)
        if missing := [key for key in wanted if key not in found]:
            got = fallback(missing)
            fetched = {key: evaluated(got[key]) for key in missing if key in got}
            run(_setting_many(fetched, timeout, compression(compress)), self.alias)
            found |= fetched
        return {key: found[key] for key in wanted if key in found}

    async def aget_many_with_fallback(
        self,
        keys: Iterable[str],
        fallback: Callable[[list[str]], Awaitable[Mapping[str, Any]]],
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        compress: bool | Compression = False,
    ) -> dict[str, Any]:
        """Async twin of :meth:`get_many_with_fallback`; ``fallback`` is a coroutine function."""
        wanted = list(dict.fromkeys(keys))
        found = await arun(_looked_up(wanted), self.alias)
        if missing := [key for key in wanted if key not in found]:
            got = await fallback(missing)
            fetched = {key: await aevaluated(got[key]) for key in missing if key in got}
            await arun(_setting_many(fetched, timeout, compression(compress)), self.alias)
            found |= fetched
        return {key: found[key] for key in wanted if key in found}

    def invalidate_pattern(self, pattern: str) -> int:
        """Removes the keys that match a glob of user keys (``product:*``) and returns how many were really removed.

        The alias's prefix and version are put in front. It costs a pass over the keyspace, in small steps; tags do not.
        Raises :class:`~cache_admin.exceptions.Unsupported` where keys cannot be listed (all but Redis),
        :class:`~cache_admin.exceptions.InvalidPattern`, and :class:`~cache_admin.exceptions.Unavailable`.
        """
        return delete_matching(self.alias, [pattern])

    async def ainvalidate_pattern(self, pattern: str) -> int:
        """Async twin of :meth:`invalidate_pattern`."""
        return await sync_to_async(self.invalidate_pattern)(pattern)

    def invalidate_tags(self, *tags: str) -> None:
        """See :func:`~cache_admin.caching.tags.invalidate_tags`."""
        invalidate_tags(*tags, alias=self.alias)

    async def ainvalidate_tags(self, *tags: str) -> None:
        """Async twin of :meth:`invalidate_tags`."""
        await sync_to_async(self.invalidate_tags)(*tags)

    def _policy(
        self,
        timeout: float | None,
        lock_timeout: float,
        stale: float,
        jitter: float,
        beta: float,
        wait: float | None,
        compress: bool | Compression,
    ) -> Policy:
        return Policy(
            timeout=timeout,
            alias=self.alias,
            stale=stale,
            jitter=jitter,
            beta=beta,
            lock_timeout=lock_timeout,
            wait=wait,
            compress=compression(compress),
        )

    def _setting(
        self, key: str, value: object, timeout: Any, tags: Sequence[str], packing: Compression | None
    ) -> Flow[None]:
        if not tags:
            yield Do("set", (key, packing.pack(value) if packing else value, timeout))
            return
        seconds = caches[self.alias].default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        request = Request(Policy(seconds, self.alias, lock=False, compress=packing), key, tag_names(tags))
        ticket = yield from fresh_ticket(request)
        yield from store(request, ticket, value, time.time(), 0.0)


def _looked_up(keys: Sequence[str]) -> Flow[dict[str, Any]]:
    """The good values among ``keys``; the stamps of all their tags come in one more round trip."""
    found = yield from read(keys)
    entries = {key: entry for key, value in found.items() if (entry := opened(value))}
    tags = {tag for entry in entries.values() for tag in entry.tags}
    stamps = stamps_in((yield from read([tag_key(tag) for tag in tags])), tags) if tags else {}
    now = time.time()
    return {
        key: entry.value
        for key, entry in entries.items()
        if entry.current(stamps) and (entry.fresh_until is None or now < entry.fresh_until)
    }


def _setting_many(values: Mapping[str, object], timeout: Any, packing: Compression | None) -> Flow[None]:
    if values:
        packed = {key: packing.pack(value) if packing else value for key, value in values.items()}
        yield Do("set_many", (packed, timeout))

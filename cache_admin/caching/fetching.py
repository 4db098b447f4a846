"""Get or compute, once for sync and async code.

What to ask the cache, in which order, is written as generators that yield steps; :func:`run` performs them with
blocking calls, :func:`arun` with awaited ones. A miss under a lock costs six round trips (look, lock, look again, check
the lock, store, release), a hit one.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.cache import BaseCache, caches

from cache_admin.bookkeeping import caller, on_behalf, unwatched
from cache_admin.caching.compression import explained
from cache_admin.caching.envelope import MISS, Entry, opened
from cache_admin.caching.lazy import aevaluated, evaluated
from cache_admin.caching.locks import Lease, lock_key
from cache_admin.caching.signals import computed
from cache_admin.caching.storing import (
    Do,
    Flow,
    Request,
    Rest,
    Ticket,
    locking,
    read,
    release,
    reread,
    seizing,
    stamp,
    store,
)
from cache_admin.caching.tags import stamps_in, tag_key
from cache_admin.caching.waiting import LONGEST, pause, turn

R = TypeVar("R")
#: How often in a row the lock may be refused while nobody holds it, before the cache is taken for out of order.
_REFUSALS = 3


class State(enum.Enum):
    """What a found entry is good for."""

    FRESH = enum.auto()
    OLD = enum.auto()  #: to be served while one caller computes it anew
    GONE = enum.auto()


def judge(request: Request, found: Mapping[str, Any], *, early: bool = True) -> tuple[State, Entry | None]:
    """The entry in what was read, and what it is good for. ``early`` throws the dice of early refresh."""
    entry = opened(found.get(request.key, MISS))
    if entry is None or (request.not_before and (entry.as_of or 0) < request.not_before):
        return State.GONE, None
    if (request.tags or entry.tags) and (
        entry.tags.keys() != set(request.tags) or not entry.current(stamps_in(found, request.tags))
    ):
        return State.GONE, None
    if entry.fresh_until is None:
        return State.FRESH, entry
    now = time.time()
    if now >= entry.fresh_until:
        return (State.OLD, entry) if now < entry.fresh_until + request.policy.stale else (State.GONE, None)
    return (State.OLD if early and entry.due_early(now, request.policy.beta) else State.FRESH), entry


def take(request: Request, found: Mapping[str, Any] | None = None) -> Flow[Entry | Ticket]:
    """The entry to serve, or the ticket to compute it. ``found`` is what was read already."""
    if request.uncommitted():
        return Ticket(None, {})
    policy, keys = request.policy, request.keys()
    if found is None:
        found = yield from read(keys)
    state, old = judge(request, found)
    if state is State.FRESH and old:
        return old
    give_up, refusals = time.monotonic() + policy.patience, 0
    while policy.lock and policy.keeps and refusals < _REFUSALS:
        lease = Lease.asked(request.key, policy.lock_timeout)
        if (yield locking(lease)):
            found = yield from reread(keys)
            state, newer = judge(request, found, early=False)
            # Another stored it between our look and our lock.
            if state is State.FRESH and newer and (old is None or (newer.as_of or 0) > (old.as_of or 0)):
                yield from release(lease)
                return newer
            return Ticket(lease, (yield from stamp(request.tags, found)))
        if old:
            return old
        found = yield from _wait(request, [*keys, lease.name], give_up)
        _, entry = judge(request, found, early=False)
        if entry:
            return entry
        if time.monotonic() >= give_up:
            break
        refusals = 0 if lease.name in found else refusals + 1
    return Ticket(None, (yield from stamp(request.tags, found)))


def _wait(request: Request, keys: Sequence[str], give_up: float) -> Flow[Mapping[str, Any]]:
    """What is stored once the value is there, the lock is gone, or the time is up."""
    begun = time.monotonic()
    with turn((request.policy.alias, request.key)) as mine:
        if not mine.asks:
            yield Rest(max(0.0, give_up - begun), mine.event)
            return (yield from reread(keys))
        while True:
            now = time.monotonic()
            yield Rest(max(0.0, min(pause(now - begun), give_up - now)))
            found = yield from reread(keys)
            usable = judge(request, found, early=False)[1]
            if usable or lock_key(request.key) not in found or time.monotonic() >= give_up:
                return found


def fetch(request: Request, compute: Callable[[], Any], found: Mapping[str, Any] | None = None) -> Any:
    """The value: from the cache, from another caller who computes it now, or from ``compute``."""
    taken = run(take(request, found), request.policy.alias)
    return taken.value if isinstance(taken, Entry) else keep(request, taken, compute)


def keep(request: Request, ticket: Ticket, compute: Callable[[], Any]) -> Any:
    """Computes and stores. An exception of ``compute`` is passed on and stored nowhere."""
    as_of, began, done = time.time(), time.perf_counter(), False
    try:
        value = evaluated(compute())
        seconds = time.perf_counter() - began
        run(store(request, ticket, value, as_of, seconds), request.policy.alias)
        done = True
    finally:
        if ticket.lease and not done:
            run(release(ticket.lease), request.policy.alias)
    _tell(request, seconds)
    return value


async def afetch(
    request: Request, compute: Callable[[], Awaitable[Any]], found: Mapping[str, Any] | None = None
) -> Any:
    """Async twin of :func:`fetch`."""
    taken = await arun(take(request, found), request.policy.alias)
    return taken.value if isinstance(taken, Entry) else await akeep(request, taken, compute)


async def akeep(request: Request, ticket: Ticket, compute: Callable[[], Awaitable[Any]]) -> Any:
    """Async twin of :func:`keep`. A cancelled computation gives its lock back."""
    as_of, began, done = time.time(), time.perf_counter(), False
    try:
        value = await aevaluated(await compute())
        seconds = time.perf_counter() - began
        await arun(store(request, ticket, value, as_of, seconds), request.policy.alias)
        done = True
    finally:
        if ticket.lease and not done:
            await arun(release(ticket.lease), request.policy.alias)
    _tell(request, seconds)
    return value


def fresh_ticket(request: Request) -> Flow[Ticket]:
    """A ticket to compute at once, whatever is stored and whoever computes: the lock is taken from them, so what they
    computed of older facts is not stored."""
    lease = None
    if request.policy.lock and request.policy.keeps:
        lease = Lease.asked(request.key, request.policy.lock_timeout)
        yield seizing(lease)
    found = (yield from reread([tag_key(tag) for tag in request.tags])) if request.tags else {}
    return Ticket(lease, (yield from stamp(request.tags, found)), seized=lease is not None)


def dropped(key: str) -> Flow[bool]:
    """Removes an entry and the lock of a computation under way, whose result is then not stored. Whether it was
    there."""
    yield Do("delete", (lock_key(key),), told=False)
    return bool((yield Do("delete", (key,))))


def run(flow: Flow[R], alias: str) -> R:
    """Performs the steps of a flow with blocking calls."""
    cache, answer = caches[alias], None
    # Closed at once on an error, or those who wait behind this caller would sleep on.
    with closing(flow):
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Do):
                with explained(alias, step.args):
                    answer = getattr(cache if step.told else unwatched(cache), step.method)(*step.args)
            elif isinstance(step.event, threading.Event):
                step.event.wait(step.seconds)
            else:
                # Blocking code on an event loop's thread cannot wait for what a task of that loop will tell.
                time.sleep(min(step.seconds, LONGEST))


async def arun(flow: Flow[R], alias: str) -> R:
    """Performs the steps of a flow with awaited calls."""
    cache, answer = caches[alias], None
    with closing(flow):
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: R = end.value
                return result
            if isinstance(step, Do):
                with explained(alias, step.args):
                    answer = await acall(cache if step.told else unwatched(cache), step.method, *step.args)
            elif step.event:
                with suppress(TimeoutError):
                    await asyncio.wait_for(step.event.wait(), step.seconds)  # type: ignore[arg-type]
            else:
                await asyncio.sleep(step.seconds)


async def acall(cache: BaseCache, method: str, *args: Any) -> Any:
    """A method of a cache from async code, in one hop: Django's own ``aget_many`` makes a round trip for each key."""
    call = getattr(cache, method)
    if iscoroutinefunction(call):
        return await call(*args)
    return await sync_to_async(on_behalf)(caller(), call, *args)


def _tell(request: Request, seconds: float) -> None:
    computed.send_robust(request.owner, alias=request.policy.alias, key=request.key, seconds=seconds)

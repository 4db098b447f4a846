"""How a computed value goes into the cache, and what a caller asks for: the parts of :mod:`fetching` that both ends
share."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from django.core.cache import DEFAULT_CACHE_ALIAS

from cache_admin.caching.calls import written
from cache_admin.caching.commits import uncommitted
from cache_admin.caching.compression import Compression
from cache_admin.caching.envelope import MISS, Entry, opened, seal, until
from cache_admin.caching.locks import Lease
from cache_admin.caching.tags import LIFETIME, new_stamp, stamps_in, tag_key
from cache_admin.caching.waiting import Event

R = TypeVar("R")


class Do(NamedTuple):
    """A call of a method of the cache; its result is sent back into the flow. ``told`` is whether it is an operation of
    the application, which watchers of the cache are told of, or only the bookkeeping behind one."""

    method: str
    args: tuple[Any, ...]
    told: bool = True


class Rest(NamedTuple):
    """A pause, or, with an event, a wait for it that ends after ``seconds``."""

    seconds: float
    event: Event | None = None


Flow = Generator[Do | Rest, Any, R]


@dataclass(frozen=True, slots=True)
class Policy:
    """How values are kept. Times are in seconds.

    ``timeout`` until a value is stale (``None``: never; 0: it is not kept); ``stale`` how much longer it may be served
    while one caller computes it anew; ``jitter`` the share, 0 to below 1, by which timeouts are shortened at random;
    ``beta`` the eagerness of early refresh (XFetch), 0 for none; ``lock`` whether one caller computes while the others
    wait; ``lock_timeout`` until the lock of an owner that died expires, rounded up; ``wait`` the longest a caller waits
    before it computes without the lock (default: ``lock_timeout``). Raises ``ValueError`` for values out of range.
    """

    timeout: float | None
    alias: str = DEFAULT_CACHE_ALIAS
    stale: float = 0
    jitter: float = 0
    beta: float = 0
    lock: bool = True
    lock_timeout: float = 10
    wait: float | None = None
    compress: Compression | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.jitter < 1:
            raise ValueError("jitter is a share of the timeout: 0 to below 1")
        if self.stale < 0 or self.beta < 0 or self.lock_timeout <= 0 or (self.wait or 0) < 0:
            raise ValueError("stale, beta and wait must not be negative, and lock_timeout must be above 0")

    @property
    def keeps(self) -> bool:
        return self.timeout is None or self.timeout > 0

    @property
    def patience(self) -> float:
        """Seconds that a caller waits for another's value."""
        return self.lock_timeout if self.wait is None else self.wait


class Request(NamedTuple):
    """One value asked for. An entry computed before ``not_before`` (Unix time) does not count. ``arguments`` are
    written beside the value, for computing it again."""

    policy: Policy
    key: str
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, object] | None = None
    not_before: float = 0
    owner: str = ""

    def uncommitted(self) -> bool:
        """Whether a transaction of this thread changes the value, and may yet be rolled back."""
        return uncommitted(self.policy.alias, self.key, self.tags)

    def keys(self) -> list[str]:
        return [self.key, *map(tag_key, self.tags)]


class Ticket(NamedTuple):
    """The right and duty to compute: under a lease, which may be ``seized`` from another who computes, or, without one,
    beside others."""

    lease: Lease | None
    stamps: Mapping[str, object]
    seized: bool = False


def read(keys: Sequence[str]) -> Flow[Mapping[str, Any]]:
    """What is stored under ``keys``, in one round trip."""
    return (yield Do("get_many", (keys,))) or {}


def reread(keys: Sequence[str]) -> Flow[Mapping[str, Any]]:
    """The same for keys that the application asked for already, and for locks and stamps: no look-up of its own."""
    return (yield Do("get_many", (keys,), told=False)) or {}


def stamp(tags: Iterable[str], found: Mapping[str, object]) -> Flow[Mapping[str, object]]:
    """The stamps of ``tags``, new ones where they were lost; must be known before a computation begins."""
    stamps = stamps_in(found, tags)
    if lost := [tag for tag in tags if tag not in stamps]:
        for tag in lost:
            yield Do("add", (tag_key(tag), new_stamp(), LIFETIME), told=False)
        stamps |= stamps_in((yield from reread([tag_key(tag) for tag in lost])), lost)
    return stamps


def store(request: Request, ticket: Ticket, value: object, as_of: float, seconds: float) -> Flow[None]:
    """Stores a computed value and gives the lock back, unless it was invalidated meanwhile."""
    policy, lease = request.policy, ticket.lease
    kept = policy.keeps and len(ticket.stamps) == len(request.tags) and not request.uncommitted()
    if lease and lease.certain():
        held = (yield from reread([lease.name])).get(lease.name) == lease.token
        if held and kept:
            yield _setting(request, ticket, value, as_of, seconds)
        # The lock went while we stored: the value was invalidated between our look and our write.
        if held and lease.certain() and not (yield unlocking(lease)) and kept:
            yield Do("delete", (request.key,))
        # Perhaps not invalidated: whom the lock was seized from may have been storing just then, and gave it back.
        if not held and ticket.seized and (present := (yield from _present(request.key))) and _older(present, as_of):
            yield Do("delete", (request.key,))
    elif kept:  # if a lease ran out, another may have stored
        present = (yield from _present(request.key)) if lease else None
        if present is None or _older(present, as_of):
            yield _setting(request, ticket, value, as_of, seconds)


def _present(key: str) -> Flow[Entry | None]:
    return opened((yield from reread([key])).get(key, MISS))


def _older(entry: Entry, as_of: float) -> bool:
    """Whether an entry was computed from older facts, or nobody knows."""
    return (entry.as_of or 0) < as_of


def _setting(request: Request, ticket: Ticket, value: object, as_of: float, seconds: float) -> Do:
    policy = request.policy
    fresh_until = until(policy.timeout, policy.jitter)
    stamps: Any = ticket.stamps
    entry = Entry(value, as_of, fresh_until, round(seconds, 6), stamps, written(request.arguments))
    return Do("set", (request.key, seal(entry, policy.compress), life(fresh_until, policy.stale, bool(request.tags))))


def life(fresh_until: float | None, stale: float, tagged: bool) -> int | None:
    """Whole seconds for which the cache keeps an entry; freshness within the last one is told by the envelope."""
    if fresh_until is None:
        return LIFETIME if tagged else None
    seconds = max(1, math.ceil(fresh_until + stale - time.time()))
    return min(seconds, LIFETIME) if tagged else seconds


def release(lease: Lease) -> Flow[None]:
    """Gives a lock back if it is surely still ours."""
    if lease.certain() and (yield from reread([lease.name])).get(lease.name) == lease.token and lease.certain():
        yield unlocking(lease)


def locking(lease: Lease) -> Do:
    """Takes a lock; answers whether it was free."""
    return Do("add", (lease.name, lease.token, lease.seconds), told=False)


def seizing(lease: Lease) -> Do:
    """Takes a lock, from whoever holds it."""
    return Do("set", (lease.name, lease.token, lease.seconds), told=False)


def unlocking(lease: Lease) -> Do:
    """Removes a lock; answers whether it was there."""
    return Do("delete", (lease.name,), told=False)

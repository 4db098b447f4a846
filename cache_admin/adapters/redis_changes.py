"""Deleting keys and changing their expiry: batches in one round trip each, outside MULTI, so that other clients get
their turn between two commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from redis.exceptions import ResponseError

from cache_admin.adapters import errors
from cache_admin.adapters.base import Removed
from cache_admin.adapters.connections import CountProbes, Link, Reply, pack
from cache_admin.exceptions import Unsupported

#: Largest collection in bytes that may be freed by DEL, in the server's main thread.
SMALL_COLLECTION = 64 * 1024


def delete(link: Link, keys: Sequence[bytes], count_probes: CountProbes) -> Removed:
    """Measures and unlinks one batch of different keys."""
    commands = [pack(b"MEMORY", b"USAGE", key) for key in keys]
    *sizes, unlinked = link.exchange([*commands, pack(b"UNLINK", *keys)])
    measured = not any(isinstance(size, ResponseError) for size in sizes)
    if isinstance(unlinked, ResponseError):
        if errors.judge(unlinked).kind is not Unsupported:
            raise unlinked
        return _delete_blocking(link, dict(zip(keys, sizes, strict=True)), measured, count_probes)
    return Removed(unlinked, sum(size for size in sizes if isinstance(size, int)), measured)


def _delete_blocking(link: Link, sizes: Mapping[bytes, Reply], measured: bool, count_probes: CountProbes) -> Removed:
    """For a server without UNLINK: DEL, but only for what is freed at once; large collections stay."""
    kinds = link.exchange([pack(b"TYPE", key) for key in sizes])
    for kind in kinds:
        if isinstance(kind, ResponseError):
            raise kind
    gone = kinds.count(b"none")
    count_probes(len(kinds) - gone, gone)
    going, left = [], 0
    for (key, size), kind in zip(sizes.items(), kinds, strict=True):
        if kind == b"string" or (isinstance(size, int) and size <= SMALL_COLLECTION):
            going.append(key)
        elif kind != b"none":
            left += 1
    deleted = link.call(b"DEL", *going) if going else 0
    notes = []
    if left:
        text = _("%(count)d large collections were left: without UNLINK, deleting them would stall the server")
        notes.append(text % {"count": left})
    freed = sum(size for key in going if isinstance(size := sizes[key], int))
    return Removed(deleted, freed, measured, tuple(notes))


def expire(link: Link, ttls: Mapping[bytes, int | None], only_sooner: bool, count_probes: CountProbes) -> int:
    """Sets or removes the expiry of one batch of keys. Returns how many keys were changed."""
    condition = (b"LT",) if only_sooner else ()
    wanted = {key: ttl for key, ttl in ttls.items() if not (only_sooner and ttl is None)}
    replies = link.exchange([_expiry(key, ttl, *condition) for key, ttl in wanted.items()])
    refused = [reply for reply in replies if isinstance(reply, ResponseError)]
    if not refused:
        return sum(replies)
    if only_sooner and _lacks_condition(refused[0]):
        return expire(link, _sooner(link, wanted, count_probes), False, count_probes)
    raise refused[0]


def _expiry(key: bytes, ttl: int | None, *condition: bytes) -> bytes:
    return pack(b"PERSIST", key) if ttl is None else pack(b"PEXPIRE", key, b"%d" % ttl, *condition)


def _lacks_condition(error: ResponseError) -> bool:
    """PEXPIRE knows LT since Redis 7.0."""
    return "wrong number of arguments" in str(error)


def _sooner(link: Link, ttls: Mapping[bytes, int | None], count_probes: CountProbes) -> dict[bytes, int | None]:
    """Those of ``ttls`` that shorten a life, judged just before."""
    lives = link.exchange([pack(b"PTTL", key) for key in ttls])
    for life in lives:
        if isinstance(life, ResponseError):
            raise life
    gone = lives.count(-2)
    count_probes(len(lives) - gone, gone)
    return {
        key: ttl
        for (key, ttl), life in zip(ttls.items(), lives, strict=True)
        if ttl is not None and (life == -1 or life > ttl)
    }

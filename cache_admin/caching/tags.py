"""Tags: one write makes every value of a tag stale, however many there are.

A tag is one small key that holds a stamp. A value remembers the stamps of its tags as they were *before* it was
computed, and is taken only while they are the same. Invalidating a tag gives it a new stamp, never seen before (the
time in nanoseconds, its low bits random), in one atomic write: nothing is read or counted, so bumps at the same time
cannot undo each other on any backend. A stamp that was evicted or expired makes its values stale, and the next one
differs from it, so an old value never comes back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from asgiref.sync import sync_to_async
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.utils.translation import gettext as _

from cache_admin.caching.keys import clean_prefix, join
from cache_admin.exceptions import Unavailable

FAMILY = "cache_tag"
#: Seconds for which a stamp lives since the tag was last invalidated or first used: no value with tags lives longer.
LIFETIME = 30 * 86_400
_RANDOM_BITS = 20


@lru_cache(maxsize=4096)
def tag_key(tag: str) -> str:
    """The user key that holds a tag's stamp: ``cache_tag:product:5``."""
    return join(FAMILY, (clean_prefix(tag),))


def tag_names(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags, each once. ``TypeError`` for one string in place of a list."""
    if isinstance(tags, str):
        raise TypeError(f"tags is a list of tags: write tags=[{tags!r}].")
    return tuple(dict.fromkeys(tags))


def new_stamp() -> int:
    """A stamp that no tag ever had: fits into 63 bits, as servers' integers do."""
    return time.time_ns() >> _RANDOM_BITS << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


def stamps_in(found: Mapping[str, object], tags: Iterable[str]) -> dict[str, object]:
    """The stamps of ``tags`` out of what ``get_many`` returned for their keys; lost ones are left out."""
    return {tag: found[key] for tag in tags if (key := tag_key(tag)) in found}


def invalidate_tags(*tags: str, alias: str = DEFAULT_CACHE_ALIAS) -> None:
    """Makes every value that carries any of ``tags`` stale: one round trip, no scan, whatever their number.

    Values computed while this runs are stale too. Raises :class:`Unavailable` if the cache did not take it.
    """
    if tags:
        _check(tags, caches[alias].set_many({tag_key(tag): new_stamp() for tag in tags}, LIFETIME), alias)


async def ainvalidate_tags(*tags: str, alias: str = DEFAULT_CACHE_ALIAS) -> None:
    """Async twin of :func:`invalidate_tags`."""
    await sync_to_async(invalidate_tags)(*tags, alias=alias)


def _check(tags: Sequence[str], failed: Sequence[str] | None, alias: str) -> None:
    if failed:
        text = _("%(alias)s did not take the invalidation of %(failed)d of %(count)d tags: old values may still show.")
        raise Unavailable(text % {"alias": alias, "failed": len(failed), "count": len(tags)})

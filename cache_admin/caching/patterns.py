"""Removing what globs match, through the engine of the admin: SCAN, every key matched again here, UNLINK in batches."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.adapters.base import DELETE_BATCH, Adapter
from cache_admin.exceptions import Unsupported
from cache_admin.keys import compile_glob, covering_glob, normalise_glob


def can_list(alias: str) -> bool:
    """Whether the keys of an alias can be listed and removed by pattern."""
    cache = adapter(alias)
    return cache.can_list and cache.can_change and cache.codec.reversible


def delete_matching(alias: str, patterns: Iterable[str]) -> int:
    """Removes the keys that match any of the globs of user keys, in one pass over the keyspace; returns how many.

    It costs a pass however little matches. Keys written behind the pass while it runs stay. Raises
    :class:`~cache_admin.exceptions.InvalidPattern`, :class:`~cache_admin.exceptions.Unsupported` where keys cannot be
    listed, and what adapters raise.
    """
    cache = adapter(alias)
    globs = [cache.codec.glob(normalise_glob(pattern)) for pattern in dict.fromkeys(patterns)]
    if not can_list(alias):
        text = _("%(alias)s: this cache cannot list its keys, so nothing can be removed by pattern. Use keys or tags.")
        raise Unsupported(text % {"alias": alias})
    return _sweep(cache, globs) if globs else 0


def _sweep(cache: Adapter, globs: list[bytes]) -> int:
    asked, tests = covering_glob(globs), [compile_glob(glob) for glob in globs]
    waiting: list[bytes] = []
    removed, cursor, run_id = 0, 0, ""
    while True:
        page = cache.scan(cursor, asked, run_id=run_id)
        waiting += [raw for raw in page.keys if any(test(raw) for test in tests)]
        cursor, run_id = page.cursor, page.run_id
        if waiting and (not cursor or len(waiting) >= DELETE_BATCH):
            removed += cache.delete(waiting).keys
            waiting = []
        if not cursor:
            return removed

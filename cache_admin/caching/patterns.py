"""Removing what globs match, through the engine of the admin: SCAN, every key matched again here, UNLINK in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from cache_admin.adapters import adapter_of
from cache_admin.adapters.base import DELETE_BATCH, Adapter
from cache_admin.exceptions import Unsupported
from cache_admin.keys import compile_glob, covering_glob, normalise_glob


def can_list(alias: str) -> bool:
    """Whether the keys of an alias can be listed and removed by pattern."""
    cache = adapter_of(alias)
    return cache.can_list and cache.can_change and cache.codec.reversible


def delete_matching(alias: str, patterns: Iterable[str]) -> int:
    """Removes the keys that match any of the globs of user keys, in one pass over the keyspace; returns how many.

    See :func:`delete_each`, which tells them apart.
    """
    return sum(delete_each(alias, patterns).values())


def delete_each(alias: str, patterns: Iterable[str]) -> dict[str, int]:
    """The same, with the number of keys for each pattern; one that several match counts for the first.

    A pass costs the same however little matches; keys written behind it while it runs stay. Raises
    :class:`~cache_admin.exceptions.InvalidPattern`, :class:`~cache_admin.exceptions.Unsupported` where keys cannot be
    listed, and what adapters raise.
    """
    cache = adapter_of(alias)
    globs = {pattern: cache.codec.glob(normalise_glob(pattern)) for pattern in patterns}
    if not can_list(alias):
        text = _("%(alias)s: this cache cannot list its keys, so nothing can be removed by pattern. Use keys or tags.")
        raise Unsupported(text % {"alias": alias})
    return _sweep(cache, globs) if globs else {}


def _sweep(cache: Adapter, globs: Mapping[str, bytes]) -> dict[str, int]:
    asked = covering_glob(list(globs.values()))
    tests = {pattern: compile_glob(glob) for pattern, glob in globs.items()}
    removed = dict.fromkeys(globs, 0)
    waiting: dict[str, list[bytes]] = {pattern: [] for pattern in globs}
    cursor, run_id = 0, ""
    while True:
        page = cache.scan(cursor, asked, run_id=run_id)
        cursor, run_id = page.cursor, page.run_id
        for raw in page.keys:
            if found := next((pattern for pattern, test in tests.items() if test(raw)), None):
                waiting[found].append(raw)
        for pattern, keys in waiting.items():
            if keys and (not cursor or len(keys) >= DELETE_BATCH):
                removed[pattern] += cache.delete(keys).keys
                keys.clear()
        if not cursor:
            return removed

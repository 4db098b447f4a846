"""The part of an invalidation that deletes no key: tags get another stamp, proxies are told to forget."""

from __future__ import annotations

from typing import Any

from cache_admin.adapters.fallback import translated
from cache_admin.caching.purging import purge
from cache_admin.caching.tags import invalidate_tags


def make(alias: str, params: dict[str, Any]) -> None:
    """Invalidates ``params["tags"]`` in one write, whatever the number of values that carry them, and lets the
    registered proxies forget them and ``params["urls"]``. Doing it again is harmless. Raises what caches raise."""
    tags, urls = params.get("tags", ()), params.get("urls", ())
    with translated(alias):
        invalidate_tags(*tags, alias=alias)
    purge(urls, tags)

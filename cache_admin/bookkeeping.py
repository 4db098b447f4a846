"""The way around whoever watches a cache, for what the application did not ask: locks, stamps, polls and second looks.

``monitoring`` puts watched caches in place of the project's own, ``caching`` keeps books in them, and neither knows the
other. Without this, twenty callers that wait for one value would look like hundreds of misses.
"""

from __future__ import annotations

from typing import Any

from django.core.cache import BaseCache

#: The attribute of a watched cache that leads to the one below it, set by its class.
PLAIN = "_watched_plain"


def unwatched(cache: BaseCache) -> BaseCache:
    """The same cache, told to nobody. It is the cache itself where nobody watches."""
    plain: Any = getattr(cache, PLAIN) if hasattr(type(cache), PLAIN) else cache
    return plain  # type: ignore[no-any-return]

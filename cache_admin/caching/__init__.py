"""The caching library that host projects call; works with and without the admin, on every Django cache.

>>> from cache_admin.caching import cache_result
>>> @cache_result(timeout=60, tags=["product:{pk}"])
... def price(pk, currency="EUR"):
...     ...
"""

from cache_admin.caching.compression import Compression
from cache_admin.caching.decorators import cache_result
from cache_admin.caching.envelope import MISS
from cache_admin.caching.fragments import ainvalidate_fragment, invalidate_fragment
from cache_admin.caching.invalidation import CacheInvalidator, Changes, atouch, cache_invalidator, invalidates, touch
from cache_admin.caching.keys import CacheKeyBuilder, CacheManager
from cache_admin.caching.levels import cache_headers, conditional_page
from cache_admin.caching.pages import ainvalidate_page, invalidate_page
from cache_admin.caching.purging import HttpPurger, Purger, register_purger
from cache_admin.caching.querysets import CachedManager, CachedQuerySet, ainvalidate_querysets, invalidate_querysets
from cache_admin.caching.relations import model_tags
from cache_admin.caching.smart import SmartCache
from cache_admin.caching.statistics import StatisticsCache, statistic
from cache_admin.caching.tags import ainvalidate_tags, invalidate_tags
from cache_admin.caching.views import cache_per_user
from cache_admin.caching.warmers import warmer
from cache_admin.caching.warming import CacheWarmer

__all__ = [
    "MISS",
    "CacheInvalidator",
    "CacheKeyBuilder",
    "CacheManager",
    "CacheWarmer",
    "CachedManager",
    "CachedQuerySet",
    "Changes",
    "Compression",
    "HttpPurger",
    "Purger",
    "SmartCache",
    "StatisticsCache",
    "ainvalidate_fragment",
    "ainvalidate_page",
    "ainvalidate_querysets",
    "ainvalidate_tags",
    "atouch",
    "cache_headers",
    "cache_invalidator",
    "cache_per_user",
    "cache_result",
    "conditional_page",
    "invalidate_fragment",
    "invalidate_page",
    "invalidate_querysets",
    "invalidate_tags",
    "invalidates",
    "model_tags",
    "register_purger",
    "statistic",
    "touch",
    "warmer",
]

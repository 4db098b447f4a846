"""The caching library that host projects call; works with and without the admin, on every Django cache.

>>> from cache_admin.caching import cache_result
>>> @cache_result(timeout=60, tags=["product:{pk}"])
... def price(pk, currency="EUR"):
...     ...
"""

from cache_admin.caching.compression import Compression
from cache_admin.caching.decorators import cache_result
from cache_admin.caching.envelope import MISS
from cache_admin.caching.keys import CacheKeyBuilder, CacheManager
from cache_admin.caching.smart import SmartCache
from cache_admin.caching.statistics import StatisticsCache, statistic
from cache_admin.caching.tags import ainvalidate_tags, invalidate_tags

__all__ = [
    "MISS",
    "CacheKeyBuilder",
    "CacheManager",
    "Compression",
    "SmartCache",
    "StatisticsCache",
    "ainvalidate_tags",
    "cache_result",
    "invalidate_tags",
    "statistic",
]

"""Caches of a host project's own."""

from __future__ import annotations

from typing import Any

from django_redis.cache import RedisCache


class OwnCache(RedisCache):
    pass


class NoBaseCache:
    """What Django accepts as a cache without it being a ``BaseCache``."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        self.stored: dict[str, object] = {}

    def has_key(self, key: str) -> bool:
        return key in self.stored

    def delete(self, key: str) -> bool:
        return self.stored.pop(key, None) is not None

    def close(self, **kwargs: object) -> None:
        pass


class Broken(NoBaseCache):
    def has_key(self, key: str) -> bool:
        raise ConnectionError("redis://:sw0rdfish@host is down")

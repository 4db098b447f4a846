"""django-redis: the commands of :mod:`cache_admin.adapters.redis`, with its own way of configuring a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django_redis.client import DefaultClient, HerdClient, SentinelClient, ShardClient
from django_redis.pool import ConnectionFactory, SentinelConnectionFactory

from cache_admin.adapters.base import Storage
from cache_admin.adapters.fallback import FallbackAdapter
from cache_admin.adapters.redis import RedisAdapter

_CACHES = ("django_redis.cache.RedisCache",)
_NAMES = {
    "django_redis.serializers.pickle.PickleSerializer": "pickle",
    "django_redis.serializers.json.JSONSerializer": "json",
    "django_redis.serializers.msgpack.MSGPackSerializer": "msgpack",
    "django_redis.compressors.identity.IdentityCompressor": "",
    "django_redis.compressors.zlib.ZlibCompressor": "zlib",
    "django_redis.compressors.gzip.GzipCompressor": "gzip",
    "django_redis.compressors.lzma.LzmaCompressor": "lzma",
    "django_redis.compressors.lz4.Lz4Compressor": "lz4",
    "django_redis.compressors.zstd.ZStdCompressor": "zstd",
}


@dataclass(slots=True)
class DjangoRedisAdapter(RedisAdapter):
    """One alias through the default or the herd client; a list in LOCATION is the primary and its replicas."""

    label: ClassVar[str] = "Redis through django-redis"
    serves: ClassVar[tuple[str, ...]] = _CACHES

    @classmethod
    def fits(cls, cache: Any) -> bool:
        """Whether each LOCATION is one plain server: no sentinels, no sharding, no factory that connects by itself."""
        client = cache.client
        factory = getattr(client, "connection_factory", None)
        return (
            isinstance(client, DefaultClient)
            and not isinstance(client, (SentinelClient, ShardClient))
            and isinstance(factory, ConnectionFactory)
            and not isinstance(factory, SentinelConnectionFactory)
            and type(factory).connect is ConnectionFactory.connect
            and type(factory).get_connection is ConnectionFactory.get_connection
            and not hasattr(factory.redis_client_cls, "get_primaries")
        )

    def locations(self) -> list[tuple[str, Mapping[str, Any]]]:
        cache: Any = self.cache
        factory = cache.client.connection_factory
        return [
            (url, {**factory.make_connection_params(url), **factory.pool_cls_kwargs}) for url in cache.client._server
        ]

    @property
    def storage(self) -> Storage:
        cache: Any = self.cache
        client = cache.client
        return Storage(_name(client._serializer), _name(client._compressor), isinstance(client, HerdClient))

    def encode(self, value: object) -> bytes:
        cache: Any = self.cache
        stored = cache.client.encode(value)
        return stored if isinstance(stored, bytes) else str(stored).encode()


@dataclass(slots=True)
class ManyServersAdapter(FallbackAdapter):
    """One alias whose keys are spread over servers, or whose server is found by others: exact keys only."""

    label: ClassVar[str] = "django-redis with a sentinel, sharding or cluster client"
    serves: ClassVar[tuple[str, ...]] = _CACHES


def _name(part: object) -> str:
    """The short name of a serializer or compressor of django-redis, else its dotted path."""
    path = f"{type(part).__module__}.{type(part).__qualname__}"
    return _NAMES.get(path, path)

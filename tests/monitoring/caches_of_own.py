"""Caches of a host project's own, that call themselves and others, or fail."""

from __future__ import annotations

import functools
import time
import zlib
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache


class TwoLevels(LocMemCache):
    """Asks another alias for what it lacks."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        value = super().get(key, self._missing_key, version)
        return caches["locmem"].get(key, default) if value is self._missing_key else value


class Failing(LocMemCache):
    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        raise ConnectionError("down")

    set = add = get_many = get


class MoreArguments(LocMemCache):
    """Takes a client, as django-redis does, and refuses some keys."""

    def get(self, key: Any, default: Any = None, version: Any = None, client: Any = None) -> Any:
        return client or super().get(key, default, version)

    def set(self, key: Any, value: Any, *args: Any, nx: bool = False, **kwargs: Any) -> Any:
        return self.add(key, value, *args, **kwargs) if nx else super().set(key, value, *args, **kwargs)

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        super().set_many({key: data[key] for key in data if key != "refused"}, *args, **kwargs)
        return [key for key in data if key == "refused"]


class Packed(LocMemCache):
    """Unpacks whatever is not ``None``, which Django's own default is."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        value = super().get(key, default, version)
        return None if value is None else zlib.decompress(value)

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        super().set(key, zlib.compress(value), *args, **kwargs)


class Noting:
    """Looks at what goes by."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        value = super().get(key, default, version)
        self.__dict__.setdefault("seen", []).append(value)
        return value


class NotingLocal(Noting, LocMemCache):
    pass


class NotingServer(Noting, RedisCache):
    pass


def measured(method: Any) -> Any:
    @functools.wraps(method)
    def measuring(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return measuring


class ComputingForNone(LocMemCache):
    """Goes on where it finds nothing, which it tells by Django's own default."""

    @measured
    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        value = super().get(key, default, version)
        return f"computed {key}" if value is None and key == "computed" else value


class Expiring(LocMemCache):
    """Keeps longer than it gives."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        value, until = super().get(key, (default, 0.0), version)
        return value if time.time() < until else default

    def set(self, key: Any, value: Any, timeout: Any = 300, *args: Any, **kwargs: Any) -> None:
        super().set(key, (value, time.time() + timeout), None, *args, **kwargs)


class OldStyle(LocMemCache):
    """Calls what is above it in a way that has no end in a subclass."""

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return super(self.__class__, self).get(key, default, version)


class OlderStyle(LocMemCache):
    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return super(type(self), self).get(key, default, version)


class OtherNames(LocMemCache):
    def delete(self, name: Any, version: Any = None) -> Any:
        return super().delete(name, version)


class NativeAsync(LocMemCache):
    """Has coroutines of its own, which do not lead to the sync methods of the same name."""

    async def aget(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return LocMemCache.get(self, key, default, version)


class WithFinaliser(LocMemCache):
    def __del__(self) -> None:
        pass


class WithSlots(LocMemCache):
    __slots__ = ("more",)


class Sealed(LocMemCache):
    def __init_subclass__(cls) -> None:
        raise RuntimeError("final")

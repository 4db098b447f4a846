"""Large values compressed, small ones left alone.

A compressed value is stored as a :class:`Packed` object, not as bytes. Only a cache that pickles can hold and return
one, so unpacking it trusts nothing that ``cache.get`` had not trusted before; a JSON or MessagePack alias refuses it,
which is raised as :class:`~cache_admin.exceptions.Unsupported`. The work is left to the serializer of Django's own
caches.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.cache.backends.redis import RedisSerializer

from cache_admin.exceptions import Unsupported

_serializer = RedisSerializer()


@dataclass(frozen=True, slots=True)
class Compression:
    """How to compress: ``codec`` is "zlib" (always there), "zstd" or "lz4" (when installed).

    A value whose serialized form is below ``threshold`` bytes stays as it is, and so does one that would not shrink.
    Integers always do, so that ``incr`` works. Raises :class:`Unsupported` for a codec that is not there.
    """

    codec: str = "zlib"
    threshold: int = 1024

    def __post_init__(self) -> None:
        _functions(self.codec)

    def pack(self, value: object) -> object:
        """``value``, or a :class:`Packed` of it where that is smaller."""
        if value is None or isinstance(value, bool | int | float | Packed):
            return value
        plain = _serializer.dumps(value)
        if len(plain) < self.threshold:
            return value
        data = _functions(self.codec)[0](plain)
        return Packed(self.codec, data) if len(data) < len(plain) else value


@dataclass(frozen=True, slots=True)
class Packed:
    """What the cache stores in place of a large value. ``data`` is the compressed pickle."""

    codec: str
    data: bytes

    def value(self) -> Any:
        return _serializer.loads(_functions(self.codec)[1](self.data))


def compression(wanted: bool | Compression) -> Compression | None:
    """``compress=`` as users write it: ``True`` is ``Compression()``."""
    if isinstance(wanted, Compression):
        return wanted
    return Compression() if wanted else None


def unpacked(value: Any) -> Any:
    """The value that was stored, compressed or not."""
    return value.value() if isinstance(value, Packed) else value


@contextmanager
def explained(alias: str, args: object) -> Iterator[None]:
    """Turns the complaint of a serializer that knows no :class:`Packed` into :class:`Unsupported`."""
    try:
        yield
    except TypeError as error:
        if not _holds_packed(args):
            raise
        text = f"{alias}: its serializer takes no compressed values. Use the COMPRESSOR of the alias instead."
        raise Unsupported(text) from error


def _holds_packed(value: object) -> bool:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return isinstance(value, Packed) or (isinstance(value, tuple) and any(map(_holds_packed, value)))


def _functions(codec: str) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    # Decorators come here before the apps are loaded, when nothing can be translated.
    if codec == "zlib":
        return zlib.compress, zlib.decompress
    modules = {"zstd": "zstandard", "lz4": "lz4.frame"}
    try:
        module = importlib.import_module(modules[codec])
    except KeyError:
        raise Unsupported(f"There is no compression {codec!r}; known: zlib, zstd, lz4.") from None
    except ImportError:
        package = modules[codec].partition(".")[0]
        raise Unsupported(f"Compression with {codec} needs the package {package}.") from None
    return module.compress, module.decompress

"""Opens one layer of compression, found by its first bytes and proved by trying; never more than asked for.

64 KB can hold 64 MB, so every decoder works with a limit on its output, and those that can on their memory.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.utils.translation import gettext as _

from cache_admin.values.tree import INFLATE_LIMIT

MEMORY_LIMIT = 20 * 1024 * 1024  #: bytes an LZMA decoder may use: enough for presets up to 7
WINDOW_LIMIT = 8 * 1024 * 1024  #: bytes of history a Zstandard decoder may keep, as RFC 8878 recommends

#: Data and limit -> what was inflated, whether the end was reached (and its checksum held), bytes left behind the end.
Opened = tuple[bytes, bool, int]


@dataclass(frozen=True, slots=True)
class Inflated:
    """``compressor`` is "" where none was found; then ``data`` is what was given. ``data`` is ``None`` where the
    layer cannot be opened here, ``notes`` say why."""

    data: bytes | None
    compressor: str = ""
    truncated: bool = False
    notes: tuple[str, ...] = ()


class CannotOpen(Exception):
    """Carries a sentence for people."""


def inflate(data: bytes, *, complete: bool = True, limit: int = INFLATE_LIMIT, hint: str = "") -> Inflated:
    """What is under the outermost layer of compression. ``complete`` says that ``data`` is the whole stored value."""
    notes = []
    for name in sorted(_FORMATS, key=lambda name: name != hint):
        looks, opener = _FORMATS[name]
        if not looks(data):
            continue
        try:
            out, ended, left = opener(data, limit + 1)
        except CannotOpen as reason:
            return Inflated(None, name, notes=(str(reason),))
        except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, RuntimeError, Corrupt):
            out, ended, left = b"", False, 0
        if len(out) > limit:
            return Inflated(out[:limit], name, True, (_over(limit),))
        if ended or (out and not complete):
            trailing = (_("%d bytes follow the end of the compressed data.") % left,) if ended and left else ()
            return Inflated(out, name, not ended, trailing)
        notes.append(
            _("Starts like %(name)s, but is not %(name)s: its checksum or structure is wrong.") % {"name": name}
        )
    return Inflated(data, notes=tuple(notes))


def layer(data: bytes) -> str:
    """The compressor whose mark the bytes start with, without opening them; "" for none."""
    return next((name for name, (looks, _opener) in _FORMATS.items() if looks(data)), "")


def _over(limit: int) -> str:
    if limit == INFLATE_LIMIT:
        return _("over 1 MiB, cut")
    return _("over %d bytes, cut") % limit


class Corrupt(Exception):
    """A decoder of a library refused the data."""


def _looks_zlib(data: bytes) -> bool:
    # RFC 1950: method 8 with a window of at most 32 KiB, header a multiple of 31, no preset dictionary.
    return (
        len(data) > 2
        and data[0] & 0x0F == 8
        and data[0] >> 4 <= 7
        and int.from_bytes(data[:2], "big") % 31 == 0
        and not data[1] & 0x20
    )


def _zlib(wbits: int) -> Callable[[bytes, int], Opened]:
    def opener(data: bytes, limit: int) -> Opened:
        decoder = zlib.decompressobj(wbits)
        out = decoder.decompress(data, limit)
        return out, decoder.eof, len(decoder.unused_data)

    return opener


def _bz2(data: bytes, limit: int) -> Opened:
    decoder = bz2.BZ2Decompressor()
    out = decoder.decompress(data, limit)
    return out, decoder.eof, len(decoder.unused_data)


def _lzma(data: bytes, limit: int) -> Opened:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT)
    try:
        out = decoder.decompress(data, limit)
    except lzma.LZMAError as error:
        if "emory" in str(error):
            raise CannotOpen(_("compressed with lzma; needs more memory than a preview may use")) from None
        raise
    return out, decoder.eof, len(decoder.unused_data)


def _library(name: str, package: str, module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        message = _("compressed with %(name)s; install %(package)s to see inside")
        raise CannotOpen(
            message % {"name": name.partition(".")[0].removesuffix("andard"), "package": package}
        ) from None


def _zstd(data: bytes, limit: int) -> Opened:
    library = _library("zstd", "zstandard", "zstandard")
    try:
        size = library.frame_content_size(data)
        decoder = library.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
        out: bytes = decoder.stream_reader(data).read(limit)
    except library.ZstdError as error:
        if "memory" in str(error):
            raise CannotOpen(_("compressed with zstd; needs more memory than a preview may use")) from None
        raise Corrupt from error
    return out, len(out) >= size, 0


def _lz4(data: bytes, limit: int) -> Opened:
    decoder = _library("lz4", "lz4", "lz4.frame").LZ4FrameDecompressor()
    out: bytes = decoder.decompress(data, limit)
    return out, decoder.eof, len(decoder.unused_data or b"")


_FORMATS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes, int], Opened]]] = {
    "gzip": (lambda data: data.startswith(b"\x1f\x8b\x08"), _zlib(31)),
    "bz2": (lambda data: data.startswith(b"BZh") and data[4:10] in {b"1AY&SY", b"\x17rE8P\x90"}, _bz2),
    "lzma": (lambda data: data.startswith(b"\xfd7zXZ\x00"), _lzma),
    "zstd": (lambda data: data.startswith(b"\x28\xb5\x2f\xfd"), _zstd),
    "lz4": (lambda data: data.startswith(b"\x04\x22\x4d\x18"), _lz4),
    "zlib": (_looks_zlib, _zlib(15)),
}

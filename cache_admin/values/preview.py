"""A stored value turned into a bounded tree of text: decompressed with a limit, parsed, never run, masked by rule."""

from __future__ import annotations

from dataclasses import dataclass, field

READ_LIMIT = 65_536  #: bytes asked from the server
INFLATE_LIMIT = 1_048_576  #: bytes after decompression
MAX_DEPTH = 20
MAX_NODES = 500
MAX_TEXT = 2_000  #: characters of one leaf


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a value's tree. ``label`` is the key, index or field ("" at the root), ``text`` the leaf's value
    or a summary."""

    #: "dict", "list", "tuple", "set", "object", "call", "str", "bytes", "int", "float", "bool", "none", "ref",
    #: "masked", "cut"
    kind: str
    label: str
    text: str
    children: tuple[Node, ...] = ()
    note: str = ""  #: a warning in words, e.g. "would call posix.system when loaded"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a value holds, as far as it can be said without running any of it."""

    serializer: str  #: found by looking: "pickle 5", "json", "msgpack", "text", "integer", "bytes"
    compressor: str  #: found by looking: "zlib", "gzip", "bz2", "lzma", "zstd", "lz4" or ""
    stored: int  #: bytes as stored (of the part read)
    inflated: int  #: bytes after decompression (as far as inflated)
    truncated: bool  #: some of the value is not shown; ``notes`` says why
    root: Node | None  #: None where only the bytes can be shown
    raw_text: str  #: the inflated bytes as escaped text, cut
    hex: str  #: classic hex dump of the first stored bytes
    masked: int = 0  #: how many leaves were masked
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())  #: dangers: "calls posix.system"

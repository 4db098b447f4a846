"""What a preview is made of, how large it may become, and how text of unknown origin is written down."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import thread_time

from cache_admin.keys import show

READ_LIMIT = 65_536  #: bytes asked from the server
INFLATE_LIMIT = 1_048_576  #: bytes after decompression, of all entries together
MAX_DEPTH = 20
MAX_NODES = 500
MAX_TEXT = 2_000  #: characters of one leaf
MAX_RAW_TEXT = 16_384  #: bytes behind ``Preview.raw_text``
MAX_HEX = 1_024  #: bytes in ``Preview.hex``
MAX_OPERATIONS = 20_000  #: pickle operations, or parts of a JSON or msgpack document
MAX_NESTING = 100  #: levels a JSON or msgpack document may have to be read at all
MAX_SECONDS = 0.25  #: of processor time, so that a busy machine shows as much as an idle one
READ_SECONDS = 0.15  #: of these, for reading; the rest is for the tree

_SEEN_OR_NOT = re.compile(r"[^\\\n\t]+")


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
    hex: str  #: hex dump of the first stored bytes
    masked: int = 0  #: how many leaves were masked
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())  #: dangers: "calls posix.system"


@dataclass(slots=True)
class Budget:
    """What is left for one preview. All entries of a collection share it."""

    nodes: int = MAX_NODES
    operations: int = MAX_OPERATIONS
    inflate: int = INFLATE_LIMIT
    started: float = field(default_factory=thread_time)

    @property
    def late(self) -> bool:
        """Whether the tree must come to its end."""
        return thread_time() - self.started > MAX_SECONDS

    @property
    def spent(self) -> bool:
        """Whether reading must."""
        return self.operations <= 0 or thread_time() - self.started > READ_SECONDS


def visible(content: str | bytes, limit: int = MAX_TEXT) -> str:
    """The first ``limit`` characters (or bytes) as text in which every character can be seen; lines stay lines.

    What cannot be decoded or seen becomes an escape as in :func:`cache_admin.keys.show`; backslashes stay single.
    """
    part = content[:limit]
    raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
    text = raw.decode("utf-8", "surrogateescape")
    return _SEEN_OR_NOT.sub(lambda match: show(match[0].encode("utf-8", "surrogateescape")), text)


def hex_dump(data: bytes, limit: int = MAX_HEX) -> str:
    """Lines of offset, eight bytes in hex, and the same as ASCII: narrow enough to be seen whole beside the tree."""
    lines = []
    for start in range(0, min(len(data), limit), 8):
        row = data[start : min(start + 8, limit)]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:04x}  {row.hex(' '):<23}  |{letters}|")
    return "\n".join(lines)

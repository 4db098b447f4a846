"""Names: user key <-> raw key <-> glob. Pure: no I/O.

Three spellings of one name meet here. The *user key* (``str``) is what a project passes to ``cache.get``. The *raw
key* (``bytes``) is what the server stores, as made by the alias's ``KEY_FUNCTION`` from prefix, version and user key.
The *text* (``str``) is how a raw key is shown: what cannot be decoded or seen is escaped as in a Python bytes
literal, so two different raw keys never look alike.

Globs follow the server's own matcher (``stringmatchlen`` in Redis's ``src/util.c``), not ``fnmatch``: ``[^b]``
negates, ``\\`` escapes, ``[z-a]`` is a range, an unclosed ``[a-z`` matches, and ``*`` crosses every character.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from django.utils.translation import gettext as _

from cache_admin.exceptions import InvalidPattern

MAX_GLOB_BYTES = 250
MAX_WILDCARDS = 12
_SPECIAL = re.compile(rb"([*?\[\]\\^])")
#: Control characters, and those that reorder or hide text (bidi marks, zero-width, line and paragraph separators,
#: BOM, tags).
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000e0000-\U000e0fff]|[\udc80-\udcff]"
)


class CacheLike(Protocol):
    """The two things a codec asks of a cache object."""

    version: int

    def make_key(self, key: str, version: int | None = None) -> str: ...


def escape_glob(name: bytes) -> bytes:
    """The glob that matches exactly ``name``."""
    return _SPECIAL.sub(rb"\\\1", name)


def normalise_glob(glob: str) -> str:
    """Checks a glob typed by a person and collapses runs of ``*``.

    Raises :class:`InvalidPattern` for one that is empty, longer than ``MAX_GLOB_BYTES`` bytes, has more than
    ``MAX_WILDCARDS`` stars after collapsing (matching time grows with each on the server), or ends in a lone backslash.
    """
    if not glob:
        raise InvalidPattern(_("The pattern is empty. Type a key or a pattern such as product:*."))
    try:
        size = len(glob.encode())
    except UnicodeEncodeError:
        raise InvalidPattern(_("The pattern holds characters that no key can have.")) from None
    if size > MAX_GLOB_BYTES:
        text = _("The pattern has %(size)d bytes; %(most)d is the most.")
        raise InvalidPattern(text % {"size": size, "most": MAX_GLOB_BYTES})
    tokens = re.findall(r"\\.|\\$|.", glob, re.DOTALL)
    if tokens[-1] == "\\":
        raise InvalidPattern(_("The pattern ends in a lone backslash. Write \\\\ to match a backslash."))
    kept = [token for i, token in enumerate(tokens) if not (token == "*" and i and tokens[i - 1] == "*")]
    if (stars := kept.count("*")) > MAX_WILDCARDS:
        text = _("The pattern has too many wildcards (%(number)d); %(most)d is the most.")
        raise InvalidPattern(text % {"number": stars, "most": MAX_WILDCARDS})
    return "".join(kept)


@lru_cache(maxsize=256)
def compile_glob(glob: bytes) -> Callable[[bytes], object]:
    """A matcher with the server's semantics: truthy for a raw key that ``SCAN ... MATCH glob`` would return.

    The stars become atomic groups, so matching is linear in the length of the key times the length of the glob.
    """
    return re.compile(_glob_regex(glob), re.DOTALL).fullmatch


def compile_globs(globs: Iterable[bytes]) -> Callable[[bytes], object]:
    """A matcher for keys that any of several globs matches; of none, it matches nothing."""
    regex = b"|".join(b"(?:" + _glob_regex(glob) + b")" for glob in globs)
    return re.compile(regex or b"(?!)", re.DOTALL).fullmatch


def _glob_regex(glob: bytes) -> bytes:
    parts: list[list[bytes]] = [[]]
    i = 0
    while i < len(glob):
        char = glob[i : i + 1]
        if char == b"*":
            parts.append([])
        elif char == b"?":
            parts[-1].append(b".")
        elif char == b"[":
            members, i = _class_members(glob, i + 1)
            parts[-1].append(b"[" + b"".join(b"\\x%02x" % member for member in members) + b"]" if members else b"(?!)")
            continue
        elif char == b"\\" and i + 1 < len(glob):
            i += 1
            parts[-1].append(re.escape(glob[i : i + 1]))
        else:
            parts[-1].append(re.escape(char))
        i += 1
    pieces = [b"".join(part) for part in parts]
    if len(pieces) == 1:
        return pieces[0]
    middle = b"".join(b"(?>.*?" + piece + b")" for piece in pieces[1:-1] if piece)
    return pieces[0] + middle + b".*" + pieces[-1]


def _class_members(glob: bytes, i: int) -> tuple[list[int], int]:
    """The bytes that match the character class that opens before ``i``, as the server reads it, and the index behind
    it."""
    negate = glob[i : i + 1] == b"^"
    i += negate
    members: set[int] = set()
    while i < len(glob) and glob[i : i + 1] != b"]":
        if glob[i : i + 1] == b"\\" and i + 1 < len(glob):
            members.add(glob[i + 1])
            i += 2
        elif glob[i + 1 : i + 2] == b"-" and i + 2 < len(glob):
            low, high = sorted((_signed(glob[i]), _signed(glob[i + 2])))
            members.update(byte % 256 for byte in range(low, high + 1))
            i += 3
        else:
            members.add(glob[i])
            i += 1
    return sorted(set(range(256)) - members if negate else members), i + 1


def _signed(byte: int) -> int:
    """The server orders bytes as C's ``char``, which is signed on x86: the parts of é come before all ASCII."""
    return byte if byte < 128 else byte - 256


def globs_meet(first: bytes, second: bytes) -> bool:
    """Whether some name matches both globs. Takes time and space in proportion to the product of their lengths."""
    a, b = _tokens(first), _tokens(second)
    meet = [[False] * (len(b) + 1) for _ in range(len(a) + 1)]  # what begins at these tokens
    for i in range(len(a), -1, -1):
        for j in range(len(b), -1, -1):
            one, other = (a[i] if i < len(a) else _END), (b[j] if j < len(b) else _END)
            if one is None:  # a star ends here, or takes what the other side begins with
                meet[i][j] = meet[i + 1][j] or (j < len(b) and meet[i][j + 1])
            elif other is None:
                meet[i][j] = meet[i][j + 1] or (i < len(a) and meet[i + 1][j])
            else:
                meet[i][j] = one is other is _END or (not one.isdisjoint(other) and meet[i + 1][j + 1])
    return meet[0][0]


_END: frozenset[int] = frozenset()


def _tokens(glob: bytes) -> list[frozenset[int] | None]:
    """What each place of a glob matches: a set of bytes, or ``None`` for a star."""
    tokens: list[frozenset[int] | None] = []
    i = 0
    while i < len(glob):
        char = glob[i]
        if char == ord("["):
            members, i = _class_members(glob, i + 1)
            tokens.append(frozenset(members))
            continue
        i += char == ord("\\") and i + 1 < len(glob)
        if char == ord("*"):
            tokens.append(None)
        else:
            tokens.append(frozenset(range(256)) if char == ord("?") else frozenset(glob[i : i + 1]))
        i += 1
    return tokens


def show(raw: bytes) -> str:
    """A raw key or part of one as text for a page: undecodable bytes and unseen characters become ``\\xNN`` or
    ``\\uNNNN`` escapes.

    A backslash of the key itself is doubled, so the text stands for one key only.
    """
    text = raw.decode("utf-8", "surrogateescape").replace("\\", "\\\\")
    return _UNSEEN.sub(_escape_char, text)


def _escape_char(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def token(raw: bytes) -> str:
    """A raw key as a URL path segment (base64url without padding; ``"-"`` for the empty key)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() or "-"


def from_token(text: str) -> bytes:
    """The raw key of a URL segment. Raises ``ValueError`` for anything :func:`token` did not make."""
    if text == "-":
        return b""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not a key of this site") from error
    if token(raw) != text:
        raise ValueError("not a key of this site")
    return raw


@dataclass(frozen=True, slots=True)
class KeyCodec:
    """How one alias spells its keys.

    ``head`` and ``tail`` are what the alias's key function puts around a user key (``b"shop:1:"``, ``b""``). A key
    function that does anything else (hashing, say) leaves ``reversible`` False: then raw keys cannot be told apart from
    other programs' and globs are refused.
    """

    head: bytes
    tail: bytes
    reversible: bool
    version: int
    make: Callable[[str, int | None], bytes]

    @classmethod
    def of(cls, cache: CacheLike, version: int | None = None) -> KeyCodec:
        """The codec of a cache at ``version`` (default: the alias's own)."""

        def make(key: str, other: int | None = None) -> bytes:
            number = other if other is not None else version
            return str(cache.make_key(key, version=number)).encode("utf-8", "surrogateescape")

        probe = "probe\x02key"
        head, found, tail = make(probe).partition(probe.encode())
        reversible = bool(found) and make("") == head + tail and make("a:b*\\") == head + b"a:b*\\" + tail
        return cls(
            head=head if reversible else b"",
            tail=tail if reversible else b"",
            reversible=reversible,
            version=version if version is not None else cache.version,
            make=make,
        )

    def raw(self, key: str) -> bytes:
        """The raw key of a user key."""
        return self.make(key, None)

    def owns(self, raw: bytes) -> bool:
        """Whether a raw key is of this alias and version. Always True where the key function cannot be reversed and
        adds nothing."""
        return raw.startswith(self.head) and raw.endswith(self.tail) and len(raw) >= len(self.head) + len(self.tail)

    def strip(self, raw: bytes) -> bytes:
        """The user part of a raw key that this codec owns, as bytes; any other raw key whole."""
        if not self.reversible or not self.owns(raw):
            return raw
        return raw[len(self.head) : len(raw) - len(self.tail)]

    def user(self, raw: bytes) -> str | None:
        """The user key, or ``None`` for a raw key of somebody else. Checked by making the key again."""
        if not self.reversible or not self.owns(raw):
            return None
        key = self.strip(raw).decode("utf-8", "surrogateescape")
        return key if self.raw(key) == raw else None

    def glob(self, pattern: str) -> bytes:
        """The glob as it goes to the server: the pattern of user keys, the alias's head and tail escaped around it."""
        return escape_glob(self.head) + pattern.encode("utf-8", "surrogateescape") + escape_glob(self.tail)


def covering_glob(globs: Sequence[bytes]) -> bytes:
    """One glob that matches all that any of ``globs`` matches: themselves, or what they begin with alike and ``*``."""
    if len(globs) == 1:
        return globs[0]
    starts = [_fixed_start(glob) for glob in globs]
    first, last = min(starts), max(starts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return escape_glob(first[:length]) + b"*"


def _fixed_start(glob: bytes) -> bytes:
    """What every key that matches ``glob`` begins with."""
    fixed = bytearray()
    i = 0
    while i < len(glob) and glob[i] not in b"*?[":
        i += glob[i] == ord("\\") and i + 1 < len(glob)
        fixed.append(glob[i])
        i += 1
    return bytes(fixed)

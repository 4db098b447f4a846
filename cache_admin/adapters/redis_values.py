"""Facts of one key, and a window on its stored value, read with as little harm as the server allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.utils.translation import gettext as _
from redis.exceptions import ResponseError

from cache_admin.adapters import errors
from cache_admin.adapters.base import KeyInfo, RawValue
from cache_admin.adapters.connections import CountProbes, Link, Reply, pack
from cache_admin.exceptions import NotPermitted, Unsupported

#: Most bytes of a collection fetched for one window, judged by the mean size of its entries.
COLLECTION_BYTES = 4 * 1024 * 1024
#: Most rounds of a cursor for one window; a sparse table may answer with empty pages.
CURSOR_ROUNDS = 10
_LENGTH = {
    "string": b"STRLEN", "hash": b"HLEN", "list": b"LLEN", "set": b"SCARD", "zset": b"ZCARD", "stream": b"XLEN",
}  # fmt: skip
_CURSORS = {"hash": b"HSCAN", "set": b"SSCAN", "zset": b"ZSCAN"}

T = TypeVar("T")


def denied(error: ResponseError) -> str:
    """The note for a command that is forbidden or unknown. Raises any other error."""
    verdict = errors.judge(error)
    if verdict is errors.NO_ACCESS:
        return _("not permitted: this key")
    if verdict.kind is NotPermitted:
        return _("not permitted: +%(command)s") % {"command": verdict.command}
    if verdict.kind is Unsupported:
        return _("not offered: %(command)s") % {"command": verdict.command}
    raise error


@dataclass(slots=True)
class Look:
    """One look at one key. What could not be learned stands in ``notes``; look-ups that the server counts as hits or
    misses are counted as our own: every command here costs one, MEMORY USAGE none."""

    link: Link
    count_probes: CountProbes
    raw: bytes
    notes: list[str] = field(default_factory=list)

    def facts(self) -> KeyInfo:
        """Facts of the key. Only the length may refresh its idle time, so it is asked last."""
        return self._steadily(self._facts)

    def window(self, start: int, limit: int, entries: int) -> RawValue:
        """At most ``limit`` bytes of a string from ``start``, or ``entries`` entries of a collection."""
        return self._steadily(lambda: self._window(start, limit, entries))

    def _steadily(self, look: Callable[[], T]) -> T:
        """Raises :class:`~cache_admin.adapters.errors.Retyped` at the third time."""
        for _attempt in range(2):
            self.notes.clear()
            try:
                return look()
            except errors.Retyped:
                continue
        self.notes.clear()
        return look()

    def _facts(self) -> KeyInfo:
        raw = self.raw
        idle, encoding, size, ttl, kind = self._ask(
            (b"OBJECT", b"IDLETIME", raw),
            (b"OBJECT", b"ENCODING", raw),
            (b"MEMORY", b"USAGE", raw),
            (b"PTTL", raw),
            (b"TYPE", raw),
        )
        if ttl == -2 or kind == b"none":
            return KeyInfo(raw, "none")
        name = kind.decode() if kind else ""
        length = self._length(name)
        if name != "string" and length == 0:
            return KeyInfo(raw, "none")
        return KeyInfo(
            raw,
            name,
            size=size,
            length=length,
            ttl=ttl / 1000 if ttl is not None and ttl >= 0 else None,
            expires=ttl != -1,
            idle=idle,
            encoding=(encoding or b"").decode(),
            notes=tuple(self.notes),
        )

    def _window(self, start: int, limit: int, entries: int) -> RawValue:
        name = self._must(b"TYPE", self.raw).decode()
        if name == "none":
            return RawValue("none", 0)
        if name not in _LENGTH:
            return RawValue(name, 0, notes=(_("values of this type cannot be shown"),))
        length = self._length(name)
        if name == "string":
            data: bytes = self._must(b"GETRANGE", self.raw, b"%d" % start, b"%d" % (start + limit))
            known = start + len(data) if length is None else length
            data = data[:limit]
            truncated = bool(start) or start + len(data) < known
            return RawValue(name, known, data=data, truncated=truncated, notes=tuple(self.notes))
        found = self._entries(name, self._affordable(length, entries))[:entries]
        cut = tuple(tuple([part[:limit] for part in entry]) for entry in found)
        known = len(found) if length is None else length
        truncated = len(found) < known or any(len(part) > limit for entry in found for part in entry)
        return RawValue(name, known, entries=cut, truncated=truncated, notes=tuple(self.notes))

    def _affordable(self, length: int | None, entries: int) -> int:
        """How many entries to fetch so that the reply stays near ``COLLECTION_BYTES``; 0 where one is too large."""
        (size,) = self._ask((b"MEMORY", b"USAGE", self.raw))
        if not size or not length:
            return entries
        mean: int = size // length
        if mean <= COLLECTION_BYTES:
            return min(entries, max(1, COLLECTION_BYTES // max(1, mean)))
        self.notes.append(_("entries of about %(size)d MB each are not fetched") % {"size": mean // 1_000_000})
        return 0

    def _entries(self, name: str, number: int) -> list[tuple[bytes, ...]]:
        if not number:
            return []
        count = b"%d" % number
        if name == "list":
            return [(item,) for item in self._must(b"LRANGE", self.raw, b"0", b"%d" % (number - 1))]
        if name == "stream":
            found = self._must(b"XRANGE", self.raw, b"-", b"+", b"COUNT", count)
            return [(entry, *(fields or ())) for entry, fields in found]
        width = 1 if name == "set" else 2
        flat: list[bytes] = []
        cursor = b"0"
        for _round in range(CURSOR_ROUNDS):
            cursor, part = self._must(_CURSORS[name], self.raw, cursor, b"COUNT", count)
            flat += part
            if cursor == b"0" or len(flat) >= number * width:
                break
        return [tuple(flat[i : i + width]) for i in range(0, len(flat), width)]

    def _length(self, name: str) -> int | None:
        if name not in _LENGTH:
            return None
        length: int | None = self._ask((_LENGTH[name], self.raw))[0]
        return length

    def _ask(self, *commands: tuple[bytes, ...]) -> list[Reply]:
        """Replies in one round trip; ``None`` in place of a refused one, with a note."""
        replies: list[Reply] = []
        for reply in self._replies(commands):
            if isinstance(reply, ResponseError):
                # "no such key" is an old server's nil; under an LFU policy there is no idle time to tell.
                if not str(reply).startswith(("no such key", "An LFU maxmemory policy")):
                    note = denied(reply)
                    self.notes += [note] if note not in self.notes else []
                reply = None
            replies.append(reply)
        return replies

    def _must(self, *command: bytes) -> Reply:
        """The reply of one command; an error reply is raised."""
        (reply,) = self._replies([command])
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def _replies(self, commands: Sequence[tuple[bytes, ...]]) -> list[Reply]:
        replies = self.link.exchange([pack(*words) for words in commands])
        if any(isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE") for reply in replies):
            raise errors.Retyped
        counted = [
            reply
            for words, reply in zip(commands, replies, strict=True)
            if words[0] != b"MEMORY" and not isinstance(reply, ResponseError)
        ]
        misses = sum(reply is None or reply in (-2, b"none") for reply in counted)
        self.count_probes(len(counted) - misses, misses)
        return replies

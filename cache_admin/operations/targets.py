"""What is to be invalidated: typed globs, exact keys, listed patterns, or everything of an alias.

All are of user keys, without prefix and version: those are put in front here, so no target can reach another version,
another alias or another program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from django.utils.translation import gettext as _

from cache_admin import patterns
from cache_admin.exceptions import InvalidPattern, Unsupported
from cache_admin.keys import KeyCodec, compile_glob, covering_glob, escape_glob, normalise_glob, show

Meaning = Literal["glob", "literal", "template", "alias"]
#: Printable characters that stay as they are in JSON; all others are percent-encoded, for databases refuse some.
_READABLE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to invalidate; make it with a class method. ``value`` is in bytes of the user key."""

    meaning: Meaning
    value: bytes = b""

    @classmethod
    def glob(cls, typed: str) -> Target:
        """Every key that a typed glob matches, as Redis reads globs. Raises :class:`InvalidPattern`."""
        return cls("glob", normalise_glob(typed).encode())

    @classmethod
    def literal(cls, key: str) -> Target:
        """Exactly this user key. Raises :class:`InvalidPattern` for one that no cache can hold."""
        try:
            return cls("literal", key.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise InvalidPattern(_("The key holds characters that no key can have.")) from None

    @classmethod
    def template(cls, template: bytes) -> Target:
        """Exactly the keys of a pattern of the pattern list, by its ``PatternStats.template``."""
        return cls("template", template)

    @classmethod
    def alias(cls) -> Target:
        """Every key of the alias at its version."""
        return cls("alias")

    @property
    def is_everything(self) -> bool:
        return self.meaning == "alias" or (self.meaning == "glob" and self.value == b"*")

    @property
    def text(self) -> str:
        """As people read it: the glob, key or pattern with unseen characters escaped."""
        if self.meaning == "alias":
            return "*"
        if self.meaning == "template":
            return patterns.display(self.value)
        if self.meaning == "glob":
            return show_glob(self.value)
        return show(self.value)

    def to_json(self) -> dict[str, str]:
        return {"meaning": self.meaning, "value": quote_from_bytes(self.value, safe=_READABLE)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Target:
        return cls(stored["meaning"], unquote_to_bytes(stored["value"]))

    def user_glob(self) -> bytes:
        """The narrowest glob of user keys that the server understands."""
        if self.meaning == "glob":
            return self.value
        if self.meaning == "template":
            return patterns.glob(self.value)
        return b"*" if self.meaning == "alias" else escape_glob(self.value)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a person means, come to in one alias, see :mod:`cache_admin.operations.meaning`."""

    named: str  #: for sentences: "the page /products/"
    targets: tuple[Target, ...] = ()
    tags: tuple[str, ...] = ()  #: to get another stamp
    urls: tuple[str, ...] = ()  #: for proxies to forget
    notes: tuple[str, ...] = ()  #: what belongs to it and stays, or cannot be told


class Selection:
    """Targets, compiled for one alias. Raises :class:`Unsupported` for globs where raw keys cannot be read back."""

    def __init__(self, targets: Iterable[Target], codec: KeyCodec, *, may_be_empty: bool = False) -> None:
        self.targets = tuple(dict.fromkeys(targets))
        if not self.targets and not may_be_empty:
            raise InvalidPattern(_("Nothing is chosen. Type a key or a pattern such as product:*."))
        self._codec = codec
        self._wide = [target for target in self.targets if target.meaning != "literal"]
        if self._wide and not codec.reversible:
            raise Unsupported(
                _("The key function of this cache cannot be read backwards, so only exact keys can be invalidated.")
            )
        exact = [t.value.decode("utf-8", "surrogateescape") for t in self.targets if t.meaning == "literal"]
        #: Keys named exactly, raw key -> user key; they need no scan.
        self.literals: dict[bytes, str] = {codec.raw(key): key for key in exact}
        self._tests = [self._test(target) for target in self._wide]
        self._may_match = _search(self._wide)
        #: What the server is asked for in one scan; None when exact keys are all there is.
        self.server_glob: bytes | None = self._server_glob() if self._wide else None

    @property
    def whole_alias(self) -> bool:
        return any(target.is_everything for target in self.targets)

    @property
    def text(self) -> str:
        """The targets in words, for sentences: the first three and how many more."""
        shown = [target.text or _("(empty key)") for target in self.targets[:3]]
        if more := len(self.targets) - len(shown):
            shown.append(_("%(number)d more") % {"number": more})
        return ", ".join(shown)

    @property
    def globs(self) -> tuple[str, ...]:
        """Exactly what the targets stand for on the server, as text."""
        return tuple(show_glob(self._around(target.user_glob())) for target in self.targets)

    def match(self, raw: bytes) -> bool:
        """Whether a raw key that a scan returned is chosen. False for every key that is not this alias's own."""
        return bool(self._may_match(raw)) and any(test(raw) for test in self._tests)

    def _around(self, user_glob: bytes) -> bytes:
        return escape_glob(self._codec.head) + user_glob + escape_glob(self._codec.tail)

    def _test(self, target: Target) -> Callable[[bytes], object]:
        if target.meaning != "template":
            return compile_glob(self._around(target.user_glob()))
        member, owns, strip = patterns.matcher(target.value), self._codec.owns, self._codec.strip
        return lambda raw: owns(raw) and member(strip(raw))

    def _server_glob(self) -> bytes:
        return self._around(covering_glob([target.user_glob() for target in self._wide]))


def read(stored: Sequence[dict[str, Any]], codec: KeyCodec) -> Selection:
    """The selection of stored targets, see ``Operation.params``."""
    return Selection([Target.from_json(one) for one in stored], codec)


def show_glob(glob: bytes) -> str:
    """A glob as text, unseen characters escaped; its own backslashes are escapes already and not doubled."""
    return "\\".join(show(part) for part in glob.split(b"\\"))


def _search(targets: Sequence[Target]) -> Callable[[bytes], object]:
    """One quick test that fails for most keys that none of the targets match."""
    held = {b"" if target.meaning == "template" else _held(target.user_glob()) for target in targets}
    if len(targets) < 2 or b"" in held:
        return lambda raw: True
    shortest = [one for one in held if not any(other != one and other in one for other in held)]
    return re.compile(b"|".join(map(re.escape, shortest))).search


def _held(glob: bytes) -> bytes:
    """The longest text that every key that ``glob`` matches holds; "" where that is not plain to see."""
    longest, part, i = b"", bytearray(), 0
    while i < len(glob):
        if glob[i] not in b"*?[":
            i += glob[i] == ord("\\") and i + 1 < len(glob)
            part.append(glob[i])
        else:
            longest, part = max(longest, bytes(part), key=len), bytearray()
            if glob[i] == ord("["):
                i = glob.find(b"]", i)
                if i < 0 or b"-" in glob or b"\\" in glob:
                    # Ranges and escapes may hold the bracket that would end the class.
                    return longest
        i += 1
    return max(longest, bytes(part), key=len)

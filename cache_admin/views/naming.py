"""A raw key as a page shows it: text with secrets masked, and whether it may stand in a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cache_admin import keys
from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import catalogue
from cache_admin.values import masking

#: A link to a longer key would be longer than servers take.
LONGEST_IN_LINK = 1_500
_SESSIONS = b"django.contrib.sessions."


@dataclass(frozen=True, slots=True)
class Name:
    """``text`` is safe to show. A link or copy of a masked key would give the secret away, so it has neither."""

    raw: bytes
    text: str
    masked: bool
    own: bool  #: of the alias at its version
    head: str = ""  #: the part of ``text`` that the cache puts in front of its keys

    @property
    def rest(self) -> str:
        return self.text[len(self.head) :]

    @property
    def token(self) -> str:
        """The URL segment of the key, "" where it may not stand in a link."""
        return "" if self.masked or len(self.raw) > LONGEST_IN_LINK else keys.token(self.raw)


def name_of(adapter: Adapter, raw: bytes) -> Name:
    codec = adapter.codec
    own = codec.owns(raw)
    # Whoever's session it is, its key is a login.
    at = 0 if own else max(0, raw.find(_SESSIONS))
    family = catalogue.family(codec.strip(raw) if own else raw[at:])
    text = masking.key_text(raw, codec, family.name if family else "")
    head = keys.show(codec.head) if own else ""
    return Name(raw, text, masked=text != keys.show(raw), own=own, head=head if text.startswith(head) else "")


def texts_of(adapter: Adapter) -> Callable[[bytes], str]:
    """Makes text of the raw keys of one alias, masked where they are secrets."""
    return lambda raw: name_of(adapter, raw).text

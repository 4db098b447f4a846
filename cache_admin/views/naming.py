"""A raw key as a page shows it: text with secrets masked, and whether it may stand in a link."""

from __future__ import annotations

from dataclasses import dataclass

from cache_admin import keys
from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import catalogue
from cache_admin.values import masking

#: A link to a longer key would be longer than servers take.
LONGEST_IN_LINK = 1_500


@dataclass(frozen=True, slots=True)
class Name:
    """``text`` is safe to show. A link or copy of a masked key would give the secret away, so it has neither."""

    raw: bytes
    text: str
    masked: bool
    own: bool  #: of the alias at its version

    @property
    def token(self) -> str:
        """The URL segment of the key, "" where it may not stand in a link."""
        return "" if self.masked or len(self.raw) > LONGEST_IN_LINK else keys.token(self.raw)


def name_of(adapter: Adapter, raw: bytes) -> Name:
    own = adapter.codec.owns(raw)
    family = catalogue.family(adapter.codec.strip(raw)) if own else None
    text = masking.key_text(raw, adapter.codec, family.name if family else "")
    return Name(raw, text, masked=text != keys.show(raw), own=own)

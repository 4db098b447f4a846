"""Whose key is this? Everything that fills a cache through this library registers here by itself.

The admin reads it to name the owner of a key and to compute a fresh value beside a cached one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cache_admin.keys import compile_glob

_owners: dict[tuple[str, str, str], Owner] = {}


@dataclass(frozen=True, slots=True)
class Owner:
    """A function, statistic, queryset, view, fragment or warmer that writes keys.

    ``patterns`` are globs of the *user* keys it writes; empty where they cannot be told beforehand. ``recompute`` takes
    a user key and the text that :class:`~cache_admin.caching.envelope.Entry` holds as ``call``, and returns a fresh
    value without storing it; it raises ``LookupError`` in words where it cannot. It is ``None`` where the owner can
    never be called again by itself. ``timeout`` is in seconds, ``None`` for never.
    """

    name: str  #: dotted path, e.g. "shop.catalogue.popular_products"
    kind: str  #: "function", "statistic", "queryset", "view", "fragment", "warmer", "tag"
    alias: str
    patterns: tuple[str, ...]
    recompute: Callable[[str, str], object] | None = None
    timeout: float | None = None
    _matches: tuple[Callable[[bytes], object], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_matches", tuple(compile_glob(pattern.encode()) for pattern in self.patterns))

    def owns(self, key: str) -> bool:
        """Whether a user key is of this owner."""
        raw = key.encode("utf-8", "surrogateescape")
        return any(match(raw) for match in self._matches)


def register(owner: Owner) -> Owner:
    """Makes an owner known. The last one of a kind, alias and name counts: a module may be imported again, and a
    function be decorated inside another."""
    _owners[owner.kind, owner.alias, owner.name] = owner
    return owner


def owners(alias: str | None = None) -> tuple[Owner, ...]:
    """All owners, or those of one alias, in the order of their registration."""
    return tuple(owner for owner in list(_owners.values()) if alias is None or owner.alias == alias)


def owner_of(alias: str, key: str) -> Owner | None:
    """The owner of a user key: the one whose pattern says most, of equals one that can compute it anew, or ``None``."""
    found = [owner for owner in owners(alias) if owner.owns(key)]
    return max(found, key=lambda owner: (max(map(_said, owner.patterns)), owner.recompute is not None), default=None)


def _said(pattern: str) -> int:
    return len(pattern) - pattern.count("*")

"""What the caching library stores around a value, read without running any of it.

The layout is that of :mod:`cache_admin.caching.envelope`: ``(MARK, as_of, fresh_until, seconds, tags, call, value)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.caching.compression import Packed
from cache_admin.caching.envelope import MARK
from cache_admin.values import pickles
from cache_admin.values.codecs import decode
from cache_admin.values.compression import inflate
from cache_admin.values.outline import is_herd
from cache_admin.values.parts import Call, Container, Missing, pairs
from cache_admin.values.tree import Budget

#: Name of what the library wraps around a value that it compressed.
PACKED = f"{Packed.__module__}.{Packed.__qualname__}"
_FIELDS = 7
_LATEST = 253_000_000_000.0  #: Unix time in the year 9987
_LONGEST = 1e9


@dataclass(frozen=True, slots=True)
class Sealed:
    """A stored value. ``known`` says that the library stored it, so that the other facts mean anything. ``item`` is a
    part for :class:`~cache_admin.values.outline.Outline`; times are Unix times, ``call`` the arguments as JSON."""

    item: object
    truncated: bool = False  #: not all of ``item`` could be read
    known: bool = False
    as_of: float | None = None
    fresh_until: float | None = None
    seconds: float | None = None
    tags: tuple[str, ...] = ()
    call: str = ""


def unseal(stored: RawValue, storage: Storage) -> Sealed:
    """The value in what is stored, and what stands beside it. Never raises."""
    budget = Budget()
    found = decode(stored.data, storage, budget, complete=not stored.truncated)
    item = found.item
    if isinstance(item, Container) and is_herd(item):
        item = item.items[1]
    if not isinstance(item, Container) or item.kind not in {"tuple", "list"} or item.items[:1] != [MARK]:
        return Sealed(*_unpacked(item, budget, found.truncated))
    _mark, as_of, fresh_until, seconds, tags, call, value = [*item.items, *[Missing.VALUE] * _FIELDS][:_FIELDS]
    value, truncated = _unpacked(value, budget, found.truncated)
    return Sealed(
        value,
        truncated,
        known=True,
        as_of=_number(as_of, _LATEST),
        fresh_until=_number(fresh_until, _LATEST),
        seconds=_number(seconds, _LONGEST),
        tags=tuple(str(tag) for tag, _stamp in pairs(tags.items)) if isinstance(tags, Container) else (),
        call=call if isinstance(call, str) else "",
    )


def _number(item: object, most: float) -> float | None:
    """Whatever the bytes say, a number that a page can show as a moment or a length of time."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    return item if 0 <= item <= most else None


def packed_bytes(call: Call) -> bytes | None:
    """The compressed bytes inside of what ``PACKED`` names."""
    given = [part for state in call.states if isinstance(state, Container) for part in state.items]
    return next((part for part in given if isinstance(part, bytes)), None)


def _unpacked(item: object, budget: Budget, truncated: bool) -> tuple[object, bool]:
    """The part inside of a compressed value, any other as it is; and whether some of it is missing."""
    if not isinstance(item, Call) or item.name != PACKED:
        return item, truncated
    if (data := packed_bytes(item)) is None:
        return item, truncated
    opened = inflate(data, complete=not truncated, limit=budget.inflate)
    if opened.data is None:
        return item, True
    read = pickles.read(opened.data, budget, not (truncated or opened.truncated))
    return read.item, truncated or opened.truncated or bool(read.problem)

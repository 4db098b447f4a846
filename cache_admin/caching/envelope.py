"""What is stored in place of a bare value: the value and what is known of it.

An envelope is a plain tuple ``(MARK, as_of, fresh_until, seconds, tags, call, value)``, so any program can read it
from the cache, and a look at the stored bytes shows it without running anything:

``as_of`` Unix time when its computation began, so the age of its facts; ``fresh_until`` Unix time after which it is
stale, or ``None``; ``seconds`` the computation took; ``tags`` a dict from tag to its stamp before the computation;
``call`` the arguments as JSON, see :mod:`cache_admin.caching.calls`, empty where they cannot be written down.
"""

from __future__ import annotations

import enum
import math
import random
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cache_admin.caching.compression import Compression, unpacked

MARK = "cache_admin:1"
_FIELDS = 7


class Missing(enum.Enum):
    """Nothing is stored, which a stored ``None`` is not."""

    MISS = "MISS"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<MISS>"

    __str__ = __repr__


MISS: Final = Missing.MISS


class Entry(NamedTuple):
    """A stored value. One that was stored bare has no ``as_of``, so its age is not known."""

    value: Any
    as_of: float | None = None
    fresh_until: float | None = None
    seconds: float = 0.0
    tags: Mapping[str, int] = {}
    call: str = ""

    def current(self, stamps: Mapping[str, object]) -> bool:
        """Whether no tag of it was invalidated since; ``stamps`` are the tags' stamps now. A stamp that is lost
        counts as invalidated."""
        return all(stamps.get(tag) == stamp for tag, stamp in self.tags.items())

    def due_early(self, now: float, beta: float) -> bool:
        """Whether this caller should refresh it before its time.

        XFetch: ``now - seconds * beta * ln(random()) >= expiry`` (Vattani, Chierichetti, Lowenstein: Optimal
        Probabilistic Cache Stampede Prevention, VLDB 2015). ``beta`` 1 is the paper's optimum, 0 switches it off.
        """
        if not beta or self.fresh_until is None:
            return False
        return now - self.seconds * beta * math.log(1.0 - random.random()) >= self.fresh_until  # noqa: S311


def seal(entry: Entry, compress: Compression | None = None) -> tuple[object, ...]:
    """The tuple to store."""
    value = compress.pack(entry.value) if compress else entry.value
    return (MARK, entry.as_of, entry.fresh_until, entry.seconds, dict(entry.tags), entry.call, value)


def opened(found: Any) -> Entry | None:
    """The entry of what a cache returned, an envelope or a bare value; ``None`` for ``MISS``.

    A JSON serializer gives the tuple back as a list; that is read as well.
    """
    if found is MISS:
        return None
    if type(found) in (tuple, list) and len(found) == _FIELDS and type(found[0]) is str and found[0] == MARK:
        _, as_of, fresh_until, seconds, tags, call, value = found
        return Entry(unpacked(value), as_of, fresh_until, seconds, tags, call)
    return Entry(unpacked(found))


def until(timeout: float | None, jitter: float = 0.0) -> float | None:
    """The moment (Unix time) when a value stored now turns stale. ``jitter`` is the share of the timeout, 0 to 1, by
    which it may be shortened at random, so that values stored together do not expire together."""
    if timeout is None:
        return None
    return time.time() + timeout * (1.0 - jitter * random.random())  # noqa: S311

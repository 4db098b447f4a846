"""What a look at the keyspace found: the frozen result of a census, for screens, exports and the terminal.

Numbers that are estimated are :class:`Estimate` with ``exact`` False and an interval; nothing here is rounded or
marked, that is for whoever shows it. ``Report.to_json`` / ``from_json`` are loss-free, so a report can be stored and
compared later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cache_admin.keyspace import stored as storing

#: Upper edges of the expiry buckets in seconds; one more bucket holds everything above the last edge. No expiry is
#: counted apart.
TTL_EDGES: tuple[int, ...] = (60, 600, 3_600, 21_600, 86_400, 604_800)
TTL_BUCKETS = len(TTL_EDGES) + 1
#: Minutes by the clock, from the one in which a census began, for which the keys that expire are counted.
SOON_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval. Exact figures have ``low == value == high`` and ``exact`` True."""

    value: float
    low: float
    high: float
    exact: bool = False

    @classmethod
    def of(cls, value: float) -> Estimate:
        """An exact figure."""
        return cls(value, value, value, True)

    @property
    def unknown(self) -> bool:
        """Of a share: nothing was looked at, so it may be anything from 0 to 1."""
        return not self.exact and (self.low, self.value, self.high) == (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class PatternStats:
    """One family of keys. Shares are of all *own* keys/bytes of the report, 0 to 1."""

    #: for display and as its identity, e.g. "product:*"; ids and varied words are "*", a star of the key itself is
    #: "\\*"
    pattern: str
    template: bytes  #: exact membership, see ``patterns.py``
    family: str  #: name of the well-known family ("cache_page", "fragment", "session", ...) or ""
    title: str  #: words for a well-known family ("Page cache, prefix 'site'"), else ""
    keys: Estimate
    size: Estimate  #: bytes
    keys_share: Estimate
    size_share: Estimate
    mean: float  #: bytes
    largest: int  #: bytes, of the keys looked at
    largest_key: bytes
    no_expiry: Estimate  #: share of its keys that never expire, 0 to 1
    ttl_buckets: tuple[float, ...]  #: shares of its keys by TTL_EDGES; with no_expiry they sum to 1
    types: tuple[tuple[str, float], ...]  #: (type, share of its keys), most common first
    examples: tuple[bytes, ...]  #: up to 5 raw keys
    protected: bool
    probed: int = 0  #: keys whose expiry was asked
    #: (minute, how many of the probed keys expire in it), see ``SOON_MINUTES``; minutes without any are left out
    soon: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignStats:
    """Keys in the same database that are not this alias's at its current version."""

    pattern: str
    owner: str  #: who, in words: "alias sessions", "version 2 of this alias", "Celery", "unknown"
    family: str
    keys: Estimate
    size: Estimate  #: bytes
    examples: tuple[bytes, ...]
    alias: str = ""  #: whose they are; "" for a program or nobody known
    program: str = ""  #: name of the program that writes such keys, e.g. "Celery"
    version: int | None = None  #: where it is not the version that alias has now


@dataclass(frozen=True, slots=True)
class LargeKey:
    key: bytes
    size: int  #: bytes
    pattern: str
    family: str
    type: str  #: "" when not probed
    ttl: float | None  #: seconds, None: no expiry or not probed; see ``expires``
    expires: bool | None  #: None: not probed


@dataclass(frozen=True, slots=True)
class Report:
    """A census of one alias. ``complete`` is True only if every key of the database was met in one unbroken scan."""

    alias: str
    started: float  #: Unix time, seconds
    seconds: float
    complete: bool
    scanned: int  #: keys looked at, all owners
    total: int  #: keys in the database when the scan began, all owners
    own_keys: Estimate
    own_size: Estimate  #: bytes
    patterns: tuple[PatternStats, ...]  #: by bytes, largest first
    other: PatternStats | None  #: keys beyond the limit of patterns
    foreign: tuple[ForeignStats, ...]
    large_keys: tuple[LargeKey, ...]  #: largest first; own keys only
    measured: bool  #: False where MEMORY USAGE is not permitted: bytes are then all 0
    notes: tuple[str, ...] = ()  #: translated sentences, e.g. "the server was restarted; the scan began again"

    @property
    def unasked(self) -> float:
        """Share of the alias's keys, 0 to 1, of whose patterns no expiry was asked, or none may be."""
        every = [*self.patterns, *([self.other] if self.other else [])]
        keys = sum(stats.keys.value for stats in every)
        return sum(stats.keys.value for stats in every if not stats.probed) / keys if keys else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON, without loss: bytes in base64, tuples as lists."""
        encoded: dict[str, Any] = storing.encode(self)
        return encoded

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Report:
        """The report that :meth:`to_json` was made of. Raises ``ValueError`` for anything else, such as what another
        version stored."""
        try:
            report: Report = storing.decode(cls, stored)
        except (AttributeError, TypeError) as error:
            raise ValueError("not a report of this version") from error
        return report

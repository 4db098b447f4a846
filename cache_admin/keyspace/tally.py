"""What was counted of one pattern while its keys went by."""

from __future__ import annotations

from base64 import b64decode, b64encode
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappush, heappushpop, nlargest
from typing import Any

from cache_admin.adapters.base import Probe
from cache_admin.keyspace.estimates import TOPS, Weight
from cache_admin.keyspace.report import SOON_MINUTES, TTL_BUCKETS, TTL_EDGES

EXAMPLES = 5


@dataclass(slots=True, eq=False)
class Tally:
    """Counts of one pattern. Hot loops write its first fields directly."""

    keys: int = 0
    size: int = 0  #: bytes
    squares: int = 0  #: sum of squared sizes
    floor: int = -1  #: sizes above it go to :meth:`rank`
    tops: list[int] = field(default_factory=list)  #: heap of the largest sizes
    largest: int = -1
    largest_key: bytes = b""
    examples: list[bytes] = field(default_factory=list)
    asked: int = 0
    probed: int = 0
    never: int = 0  #: of the probed ones, without expiry
    buckets: list[int] = field(default_factory=lambda: [0] * TTL_BUCKETS)
    #: of the probed ones, those that expire in each minute by the clock, from the one in which the census began
    soon: dict[int, int] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)
    into: Tally | None = None  #: the one it became part of

    def rank(self, key: bytes, size: int) -> None:
        """Takes note of a size above ``floor``."""
        if size > self.largest:
            self.largest, self.largest_key = size, key
        if len(self.examples) < EXAMPLES:
            self.examples.append(key)
        if len(self.tops) < TOPS:
            heappush(self.tops, size)
        else:
            heappushpop(self.tops, size)
        if len(self.tops) == TOPS:
            self.floor = self.tops[0]

    def probe(self, probe: Probe, since: float = 0.0) -> None:
        """Takes note of one key's expiry and type; a key that is gone tells nothing. ``since`` is the seconds from the
        beginning of the minute in which the census began to the moment of the probe."""
        if probe.type == "none":
            return
        self.probed += 1
        if probe.type:
            self.types[probe.type] += 1
        if probe.ttl is None:
            self.never += 1
        else:
            self.buckets[bisect_left(TTL_EDGES, probe.ttl)] += 1
            if (minute := int((since + probe.ttl) // 60)) < SOON_MINUTES:
                self.soon[minute] = self.soon.get(minute, 0) + 1

    def absorb(self, other: Tally) -> None:
        """Adds what another tally counted; the other then leads here."""
        self.keys += other.keys
        self.size += other.size
        self.squares += other.squares
        self.tops = nlargest(TOPS, self.tops + other.tops)[::-1]
        self.floor = self.tops[0] if len(self.tops) == TOPS else -1
        if other.largest > self.largest:
            self.largest, self.largest_key = other.largest, other.largest_key
        self.examples = [*self.examples, *other.examples][:EXAMPLES]
        self.asked += other.asked
        self.probed += other.probed
        self.never += other.never
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        for minute, number in other.soon.items():
            self.soon[minute] = self.soon.get(minute, 0) + number
        self.types.update(other.types)
        other.into = self

    @property
    def end(self) -> Tally:
        """The tally that counts for this one now."""
        tally = self
        while tally.into is not None:
            tally = tally.into
        return tally

    @property
    def weight(self) -> Weight:
        return Weight(self.keys, self.size, float(self.squares), sorted(self.tops, reverse=True))

    def dump(self) -> list[Any]:
        """As JSON, for :meth:`load`."""
        text = [b64encode(key).decode() for key in (self.largest_key, *self.examples)]
        counts = [self.keys, self.size, self.squares, self.largest, self.asked, self.probed, self.never]
        return [counts, sorted(self.tops), text, self.buckets, dict(self.types), list(self.soon.items())]

    @classmethod
    def load(cls, dumped: list[Any]) -> Tally:
        counts, tops, text, buckets, types, soon = dumped
        largest_key, *examples = map(b64decode, text)
        keys, size, squares, largest, asked, probed, never = counts
        return cls(
            keys=keys,
            size=size,
            squares=squares,
            floor=tops[0] if len(tops) == TOPS else -1,
            tops=tops,
            largest=largest,
            largest_key=largest_key,
            examples=examples,
            asked=asked,
            probed=probed,
            never=never,
            buckets=buckets,
            soon=dict(soon),
            types=Counter(types),
        )

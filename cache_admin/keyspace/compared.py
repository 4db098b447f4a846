"""What a comparison tells: one alias around one deploy, its patterns with their verdicts, worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isinf

from cache_admin.keyspace.holdings import Contents, Holding
from cache_admin.keyspace.report import Estimate
from cache_admin.keyspace.verdicts import ORDER, WORSE, Basis, Side, Verdict
from cache_admin.keyspace.windows import Window
from cache_admin.patterns import display

Pair = tuple[Estimate | None, Estimate | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One pattern."""

    alias: str
    template: bytes
    before: Side
    after: Side
    verdicts: tuple[Verdict, ...]  #: worst first
    basis: Basis

    @property
    def pattern(self) -> str:
        return display(self.template)

    @property
    def keys(self) -> Pair:
        """Keys at the deploy and after; ``None`` where nobody looked."""
        return self._pair(lambda holding: holding.keys)

    @property
    def size(self) -> Pair:
        """Their bytes."""
        return self._pair(lambda holding: holding.size) if self.basis.measured else (None, None)

    @property
    def no_expiry(self) -> Pair:
        """Shares of the keys that never expire; ``None`` without keys."""
        one, other = (side.holding and side.holding.no_expiry for side in (self.before, self.after))
        return one or None, other or None

    @property
    def ttl(self) -> tuple[int | None, int | None]:
        """The bucket of ``report.TTL_EDGES`` in which the median life of the keys lies that expire."""
        one, other = (side.holding.ttl if side.holding else None for side in (self.before, self.after))
        return one, other

    def _pair(self, figure: Callable[[Holding], Estimate]) -> Pair:
        one, other = (
            figure(side.holding) if side.holding else None if isinf(unseen) else Estimate(0.0, 0.0, unseen, not unseen)
            for side, unseen in ((self.before, self.basis.unseen_before), (self.after, self.basis.unseen_after))
        )
        return one, other

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(verdict.kind for verdict in self.verdicts)

    @property
    def rank(self) -> tuple[float, ...]:
        """Sorts the worst first, and what is only looked at by its look-ups."""
        if not self.verdicts:
            return len(ORDER), -self.after.counts.lookups, -self.before.counts.lookups
        return ORDER[self.verdicts[0].kind], -self.verdicts[0].impact, -self.after.counts.lookups


@dataclass(frozen=True, slots=True)
class Left:
    """Keys under the prefix or version that an alias had before the deploy: nobody asks for them any more."""

    alias: str
    head: bytes  #: what stands in front of them
    version: int | None  #: None where the prefix changed
    holding: Holding


@dataclass(frozen=True, slots=True)
class Comparison:
    """One alias around one deploy. ``before`` and ``after`` are what it held at the deploy, and at the next or now."""

    alias: str
    window: Window
    rows: tuple[Row, ...]  #: worst first
    left: Left | None
    before: Contents | None
    after: Contents | None
    notes: tuple[str, ...]  #: what could not be known and why, in words
    lookups: tuple[int, int]  #: before and after

    @property
    def sampled(self) -> bool:
        """Whether what it holds is known on both sides, and estimated on one."""
        both = [held for held in (self.before, self.after) if held and not held.error]
        return len(both) == 2 and not all(held.complete for held in both)


def tally(rows: Iterable[Row], left: Iterable[Left] = ()) -> Counter[str]:
    """How many patterns are "worse", "grew", "vanished", "new_endless", "new" or "better", and how many keys are
    "left"; with "left_about" 1 that is an estimate."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.kinds & WORSE:
            found["worse"] += 1
        for kind in ("grew", "vanished", "new_endless", "new", "better"):
            found[kind] += kind in row.kinds
    for one in left:
        found["left"] += round(one.holding.keys.value)
        found["left_about"] |= not one.holding.keys.exact
    return found

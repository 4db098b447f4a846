"""One alias before and after a deploy, pattern by pattern: what was asked of it, what it holds, and the verdicts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isinf

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters import adapter
from cache_admin.exceptions import CacheAdminError, Unsupported
from cache_admin.keyspace.contents import FRESH, take, version_of
from cache_admin.keyspace.holdings import Contents, Holding, load, together
from cache_admin.keyspace.judging import judge
from cache_admin.keyspace.report import Estimate
from cache_admin.keyspace.verdicts import ORDER, WORSE, Basis, Side, Verdict
from cache_admin.keyspace.windows import LENGTHS, USUAL, Window, window
from cache_admin.models import Deploy
from cache_admin.monitoring import deploys, rates
from cache_admin.monitoring.usage import OTHER, Counts
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


def compare(alias: str, deploy: Deploy, *, seconds: int = LENGTHS[USUAL], now: float | None = None) -> Comparison:
    """An alias before and after a deploy: counts of ``seconds`` (or less, see :mod:`.windows`) on either side, contents
    at the deploy and at the next one, or now.

    Asks the server for a sample where there is no next deploy. What a server or the database refuses is in ``notes``.
    Raises :class:`UnknownAlias`, and :class:`Unsupported` for a backend that cannot be loaded.
    """
    now = time.time() if now is None else now
    cache = adapter(alias)
    previous, following = deploys.neighbours(deploy)
    stretch = window(
        deploy.at,
        now,
        seconds,
        previous=previous.at if previous else None,
        following=following.at if following else None,
    )
    notes: list[str] = []
    counts = _counted(alias, stretch, notes)
    before, earlier = _held(alias, deploy), _held(alias, previous)
    heads = [one.head for one in (before, earlier) if one and not one.error]
    after = _held(alias, following) if following else _now(alias, max(deploy.at, now - FRESH), heads, notes)
    if before and before.error:
        words = _("What %(alias)s held at the deploy is not known: %(why)s")
        notes.append(words % {"alias": alias, "why": before.error})
    head, holdings = _before(before, earlier, after)
    if not head:
        holdings = _without_begun(holdings, _holdings(earlier), _holdings(after), counts)
    left = None
    if head and after and (found := after.earlier.get(head)):
        left = Left(alias, head, version_of(head, cache), together(found))
    return Comparison(
        alias=alias,
        window=stretch,
        rows=_rows(alias, counts, (holdings, _holdings(after)), _basis(counts, before, after, fresh=bool(head))),
        left=left,
        before=before,
        after=after,
        notes=tuple(notes),
        lookups=(sum(one.lookups for one in counts[0].values()), sum(one.lookups for one in counts[1].values())),
    )


def tally(rows: Iterable[Row], left: Iterable[Left] = ()) -> Counter[str]:
    """How many patterns are "worse", "grew", "vanished", "new_endless", "new" or "better", and how many keys "left"."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.kinds & WORSE:
            found["worse"] += 1
        for kind in ("grew", "vanished", "new_endless", "new", "better"):
            found[kind] += kind in row.kinds
    found["left"] = sum(round(one.holding.keys.value) for one in left)
    return found


def _counted(alias: str, stretch: Window, notes: list[str]) -> tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]]:
    """Counts by template of both stretches."""
    settings = conf.current()
    if not settings.RECORDING or (settings.RECORDED_ALIASES is not None and alias not in settings.RECORDED_ALIASES):
        notes.append(_("The operations of %(alias)s are not counted (RECORDING is off).") % {"alias": alias})
        return {}, {}
    if not stretch.points:
        return {}, {}
    found = []
    for start in (stretch.before, stretch.after):
        usage = rates.between(alias, start, start + stretch.seconds - 1, stretch.step)
        if usage.note and usage.note not in notes:
            notes.append(usage.note)
        found.append({one.template: one.total for one in usage.patterns if one.template != OTHER})
    return found[0], found[1]


def _held(alias: str, deploy: Deploy | None) -> Contents | None:
    return load(deploy.contents.get(alias)) if deploy else None


def _now(alias: str, after: float, heads: list[bytes], notes: list[str]) -> Contents | None:
    try:
        return take(alias, after=after, heads=heads)
    except Unsupported:
        return None
    except CacheAdminError as error:
        notes.append(_("What %(alias)s holds now is not known: %(why)s") % {"alias": alias, "why": error})
        return None


def _holdings(contents: Contents | None) -> Mapping[bytes, Holding]:
    return contents.holdings if contents else {}


def _before(
    before: Contents | None, earlier: Contents | None, after: Contents | None
) -> tuple[bytes, Mapping[bytes, Holding]]:
    """The prefix and version that the alias had before, if it has another one now, and what it held under it.

    A deploy is marked by the old code, or by the new one, for which all that there was belongs to another version.
    """
    if before is None or before.error:
        return b"", {}
    if after and not after.error and after.head != before.head:
        return before.head, before.holdings
    if earlier and not earlier.error and earlier.head != before.head:
        return earlier.head, before.earlier.get(earlier.head, {})
    if earlier is None and before.earlier:
        head, holdings = max(before.earlier.items(), key=lambda item: together(item[1]).keys.value)
        if together(holdings).keys.low > together(before.holdings).keys.high:
            return head, holdings
    return b"", before.holdings


def _without_begun(
    holdings: Mapping[bytes, Holding],
    earlier: Mapping[bytes, Holding],
    after: Mapping[bytes, Holding],
    counts: tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]],
) -> Mapping[bytes, Holding]:
    """What was there before, but for what the new code had begun to write when it marked its deploy: patterns that
    nobody asked for before, that the deploy before did not find, and that became twice as large at least."""

    def begun(name: bytes, held: Holding) -> bool:
        counted = bool(counts[0]) and name not in counts[0] and name in counts[1]
        return counted and name not in earlier and name in after and after[name].keys.value >= 2 * held.keys.value

    return {name: held for name, held in holdings.items() if not begun(name, held)}


def _basis(
    counts: tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]],
    before: Contents | None,
    after: Contents | None,
    *,
    fresh: bool,
) -> Basis:
    used = [sum(Side(one).used for one in side.values()) for side in counts]
    return Basis(
        unseen_before=before.unseen if before else float("inf"),
        unseen_after=after.unseen if after else float("inf"),
        traffic=used[1] / used[0] if all(used) else None,
        share=conf.current().RECORDING_SHARE,
        fresh=fresh,
        measured=bool(before and after and before.measured and after.measured),
    )


def _rows(
    alias: str,
    counts: tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]],
    holdings: tuple[Mapping[bytes, Holding], Mapping[bytes, Holding]],
    basis: Basis,
) -> tuple[Row, ...]:
    names = list(dict.fromkeys(name for side in (*counts, *holdings) for name in side))
    into = rates.wider(names)
    sides: list[dict[bytes, Side]] = []
    for counted, held in zip(counts, holdings, strict=True):
        side: dict[bytes, Side] = {}
        for name in dict.fromkeys([*counted, *held]):
            place = into.get(name, name)
            side[place] = _joined(side.get(place), counted.get(name), held.get(name))
        sides.append(side)
    rows = []
    for name in dict.fromkeys(into.get(name, name) for name in names):
        one, other = (side.get(name) or Side() for side in sides)
        rows.append(Row(alias, name, one, other, judge(one, other, basis), basis))
    return tuple(sorted(rows, key=lambda row: row.rank))


def _joined(side: Side | None, counts: Counts | None, holding: Holding | None) -> Side:
    total = Counts()
    for one in (side.counts if side else None, counts):
        if one:
            total.add(one)
    have = side.holding if side else None
    return Side(total, have.joined(holding) if have and holding else have or holding)

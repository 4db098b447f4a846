"""One alias before and after a deploy, pattern by pattern: what was asked of it, what it holds, and the verdicts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters import adapter
from cache_admin.exceptions import CacheAdminError, Unsupported
from cache_admin.keyspace.compared import Comparison, Left, Row, tally
from cache_admin.keyspace.contents import FRESH, take, version_of
from cache_admin.keyspace.holdings import Contents, Holding, load, together
from cache_admin.keyspace.judging import judge
from cache_admin.keyspace.verdicts import Basis, Side
from cache_admin.keyspace.windows import LENGTHS, USUAL, Window, window
from cache_admin.models import Deploy
from cache_admin.monitoring import deploys, rates
from cache_admin.monitoring.usage import OTHER, Counts

__all__ = ["Comparison", "Left", "Row", "compare", "compare_counts", "tally"]
#: Verdicts that rest on what was asked, whatever the cache holds.
COUNTED = frozenset({"hit_rate", "better", "errors", "unwritten", "slower", "faster"})


def compare(alias: str, deploy: Deploy, *, seconds: int = LENGTHS[USUAL], now: float | None = None) -> Comparison:
    """An alias before and after a deploy: counts of ``seconds`` (or less, see :mod:`.windows`) on either side, contents
    at the deploy and at the next one, or now.

    Asks the server for a sample where there is no next deploy. What a server or the database refuses is in ``notes``.
    Raises :class:`UnknownAlias`, and :class:`Unsupported` for a backend that cannot be loaded.
    """
    now = time.time() if now is None else now
    cache = adapter(alias)
    previous, following = deploys.neighbours(deploy)
    stretch = _stretch(deploy, previous, following, seconds, now)
    notes: list[str] = []
    counts = _counted(alias, stretch, notes)
    before, earlier = _held(alias, deploy), _held(alias, previous)
    heads = [one.head for one in (before, earlier) if one and not one.error]
    after = _held(alias, following) if following else _now(alias, max(deploy.at, now - FRESH), heads, notes)
    if before and before.error:
        words = _("What %(alias)s held at the deploy is not known: %(why)s")
        notes.append(words % {"alias": alias, "why": before.error})
    if following and before and after:
        after = _at_the_end(before, after)
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
        lookups=_lookups(counts),
    )


def compare_counts(
    alias: str, deploy: Deploy, *, seconds: int = LENGTHS[USUAL], now: float | None = None
) -> Comparison:
    """The same by counts alone, which asks no server: verdicts that need contents are left out."""
    stretch = _stretch(deploy, *deploys.neighbours(deploy), seconds, time.time() if now is None else now)
    notes: list[str] = []
    counts = _counted(alias, stretch, notes)
    rows = tuple(
        replace(row, verdicts=tuple(one for one in row.verdicts if one.kind in COUNTED))
        for row in _rows(alias, counts, ({}, {}), _basis(counts, None, None, fresh=False))
    )
    return Comparison(
        alias=alias,
        window=stretch,
        rows=rows,
        left=None,
        before=None,
        after=None,
        notes=tuple(notes),
        lookups=_lookups(counts),
    )


def _stretch(deploy: Deploy, previous: Deploy | None, following: Deploy | None, seconds: int, now: float) -> Window:
    return window(
        deploy.at,
        now,
        seconds,
        previous=previous.at if previous else None,
        following=following.at if following else None,
    )


def _lookups(counts: tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]]) -> tuple[int, int]:
    return sum(one.lookups for one in counts[0].values()), sum(one.lookups for one in counts[1].values())


def _counted(alias: str, stretch: Window, notes: list[str]) -> tuple[Mapping[bytes, Counts], Mapping[bytes, Counts]]:
    """Counts by template of both stretches."""
    if why := rates.not_counted(alias):
        notes.append(_("%(alias)s: %(why)s") % {"alias": alias, "why": why})
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


def _at_the_end(before: Contents, after: Contents) -> Contents:
    """What was there at the end of a deploy, by what the next one found. Where its code had another prefix or version
    already, most keys still stand under that of before, and the change is the next deploy's."""
    holdings = after.earlier.get(before.head, {})
    if before.head == after.head or together(holdings).keys.low <= together(after.holdings).keys.high:
        return after
    others = {head: held for head, held in after.earlier.items() if head != before.head}
    return replace(after, head=before.head, version=before.version, holdings=holdings, earlier=others)


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
        began=bool(used[1] and not used[0]),
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

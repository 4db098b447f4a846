"""A look at what targets would change, without changing it: counts, bytes and samples by pattern, within a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from cache_admin.adapters.base import SCAN_COUNT, Adapter, MeasuredPage
from cache_admin.folding import OTHER, Folder
from cache_admin.keyspace import catalogue, estimates
from cache_admin.operations.base import PatternShare
from cache_admin.operations.targets import Selection
from cache_admin.patterns import display, glob

_PATTERNS = 200
_EXAMPLES = 5


@dataclass(slots=True)
class _Heap:
    """Keys of one pattern, counted."""

    family: str = ""
    keys: int = 0
    size: int = 0
    examples: list[bytes] = field(default_factory=list)

    def add(self, raw: bytes, size: int) -> None:
        self.keys += 1
        self.size += size
        if len(self.examples) < _EXAMPLES:
            self.examples.append(raw)

    def join(self, other: _Heap) -> None:
        self.keys += other.keys
        self.size += other.size
        self.examples = (self.examples + other.examples)[:_EXAMPLES]


class _Heaps:
    """Keys by family and pattern."""

    def __init__(self, cache: Adapter) -> None:
        self._strip = cache.codec.strip
        self._by_family: dict[str, tuple[Folder, dict[int, _Heap]]] = {}

    def add(self, family: str, keys: Sequence[tuple[bytes, int]]) -> None:
        """Counts raw keys with their bytes."""
        if family not in self._by_family:
            heaps: dict[int, _Heap] = {}

            def merge(source: int, target: int) -> None:
                if source in heaps:
                    heaps.setdefault(target, _Heap(family)).join(heaps.pop(source))

            self._by_family[family] = Folder(_PATTERNS, merge), heaps
        folder, heaps = self._by_family[family]
        strip = self._strip
        for slot, (raw, size) in zip(folder.fold_page([strip(raw) for raw, _ in keys]), keys, strict=True):
            heap = heaps.get(slot)
            if heap is None:
                heap = heaps[slot] = _Heap(family)
            heap.add(raw, size)

    def shares(self, scale: float, *, protected: bool = False) -> tuple[PatternShare, ...]:
        """By bytes, largest first; figures multiplied by ``scale``."""
        found = [
            PatternShare(
                pattern="" if slot == OTHER else display(folder.live[slot]),
                keys=round(heap.keys * scale),
                size=round(heap.size * scale),
                examples=tuple(heap.examples),
                protected=protected,
                family=heap.family,
                glob=b"" if slot == OTHER else glob(folder.live[slot]),
            )
            for folder, heaps in self._by_family.values()
            for slot, heap in heaps.items()
        ]
        return tuple(sorted(found, key=lambda share: (-share.size, -share.keys, share.pattern)))


@dataclass(slots=True)
class Look:
    """What was found. ``keys`` and ``size`` are of what would change; estimates unless ``exact``."""

    keys: int = 0
    size: int = 0
    exact: bool = True
    scanned: int = 0
    total: int = 0
    low: int = 0  #: 95 % interval of ``keys``
    high: int = 0
    families: frozenset[str] = frozenset()  #: of the keys that would change
    protected: int = 0  #: protected keys that would change
    going: tuple[PatternShare, ...] = ()
    staying: tuple[PatternShare, ...] = ()


class _Sorter:
    """Sorts keys into what would go, what is protected, and what only the server's glob matches."""

    def __init__(self, cache: Adapter, selection: Selection, include_protected: bool) -> None:
        self.cache = cache
        self.selection = selection
        self.include_protected = include_protected
        self.going, self.protected, self.outside = _Heaps(cache), _Heaps(cache), _Heaps(cache)
        self.keys = self.size = self.protected_keys = 0
        self.families: set[str] = set()

    def sort(self, keys: Iterable[tuple[bytes, int | None]], *, chosen: bool = False) -> None:
        """``chosen``: the keys are named exactly and need no match."""
        strip, owns, match = self.cache.codec.strip, self.cache.codec.owns, self.selection.match
        goes: dict[str, list[tuple[bytes, int]]] = {}
        stays: dict[str, list[tuple[bytes, int]]] = {}
        outside: list[tuple[bytes, int]] = []
        for raw, size in keys:
            item = raw, size or 0
            if not (chosen or match(raw)):
                if owns(raw):
                    outside.append(item)
                continue
            name = strip(raw)
            kind = catalogue.family(name)
            family = kind.name if kind else ""
            protected = catalogue.protected(name)
            if protected and not self.include_protected:
                stays.setdefault(family, []).append(item)
                continue
            goes.setdefault(family, []).append(item)
            if protected:
                self.protected_keys += 1
        for family, items in goes.items():
            self.going.add(family, items)
            self.keys += len(items)
            self.size += sum(size for _, size in items)
            self.families |= {family} - {""}
        for family, items in stays.items():
            self.protected.add(family, items)
        if outside:
            self.outside.add("", outside)


def look(cache: Adapter, selection: Selection, *, include_protected: bool, budget: float, rare: bool = False) -> Look:
    """Looks for about ``budget`` seconds. Past that the figures are extrapolated from what was seen until then.

    ``rare``: the targets lie far apart and match little of what they have in common, so only what they match is
    measured, and nothing is told of the rest.
    The first pages of a SCAN are a uniform sample of the keys (hash order), so their share is that of all keys.
    """
    sorter = _Sorter(cache, selection, include_protected)
    if selection.literals:
        sorter.sort(_exact(cache, selection), chosen=True)
    named, named_size = sorter.keys, sorter.size
    found = Look()
    if selection.server_glob is not None:
        began = time.monotonic()
        walk = _rare(cache, selection) if rare else cache.walk(lambda keys: (), glob=selection.server_glob)
        with closing(walk) as pages:
            for page in pages:
                new = [
                    (raw, size)
                    for raw, size in zip(page.keys, page.sizes, strict=True)
                    if raw not in selection.literals
                ]
                sorter.sort(new)
                found.total = page.total
                found.scanned += max(SCAN_COUNT, len(page.keys))
                found.exact = page.cursor == 0
                if not found.exact and time.monotonic() - began > budget:
                    break
        found.scanned = found.total if found.exact else min(found.scanned, found.total)
    scale = 1.0 if found.exact else found.total / max(1, found.scanned)
    matched = sorter.keys - named
    found.keys, found.size = named + round(matched * scale), named_size + round((sorter.size - named_size) * scale)
    found.low, found.high = found.keys, found.keys
    if not found.exact:
        interval = estimates.count(matched, max(1, found.scanned), found.total)
        found.low, found.high = named + math.floor(interval.low), named + math.ceil(interval.high)
    found.families = frozenset(sorter.families)
    found.protected = round(sorter.protected_keys * scale)
    found.going = sorter.going.shares(scale)
    found.staying = sorter.protected.shares(scale, protected=True) + sorter.outside.shares(scale)
    return found


def _rare(cache: Adapter, selection: Selection) -> Generator[MeasuredPage, None, None]:
    """Pages of what is matched alone, measured key by key."""
    cursor, run_id, total = 0, "", cache.count()
    while True:
        page = cache.scan(cursor, selection.server_glob or b"*", run_id=run_id)
        cursor, run_id = page.cursor, page.run_id
        keys = [raw for raw in page.keys if selection.match(raw)]
        sizes = [cache.key_info(raw).size for raw in keys]
        yield MeasuredPage(cursor, keys, sizes, {}, 0.0, run_id, total)
        if not cursor:
            return


def _exact(cache: Adapter, selection: Selection) -> list[tuple[bytes, int | None]]:
    """The exactly named keys that are there, with their bytes."""
    if cache.can_inspect:
        infos = [cache.key_info(raw) for raw in selection.literals]
        return [(info.key, info.size) for info in infos if info.exists]
    return [(raw, None) for raw, key in selection.literals.items() if cache.exists(key)]

"""The counts of one alias: by key first, then folded into patterns.

Three things are found from the order of events of one key:

* a **rebuild** is the time from a miss to the next set of that key by the same caller: asyncio task, or thread;
* a **duplicate** is a rebuild at whose end another caller had stored that key already: what a stampede is made of;
* an **early** miss is of a key that this process stored, that has not expired and that it has not deleted: the server
  evicted it, or another process deleted it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from itertools import islice
from typing import Any

from django.conf import settings as django_settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from cache_admin import conf
from cache_admin.folding import OTHER as NO_PLACE
from cache_admin.folding import Folder
from cache_admin.keys import compile_globs
from cache_admin.monitoring import stampedes
from cache_admin.monitoring.listeners import Event, Stored
from cache_admin.monitoring.stampedes import Rebuild
from cache_admin.monitoring.usage import OTHER, ByPattern, Counts

#: Different keys until they are folded.
MOST_KEYS = 2_048
#: Patterns that one process tells apart; the rest is counted under ``usage.OTHER``.
MOST_PATTERNS = 300
#: Open misses, and keys whose expiry is remembered; the oldest are forgotten first.
MOST_OPEN = 1_000
MOST_EXPECTED = 2_000
#: Seconds after which a miss and a set of one key have nothing to do with each other.
LONGEST_REBUILD = 120.0
#: Seconds by which an expiry may be off without being called early.
_SLACK = 1.5

# Places in the row of a key, in the order of ``Counts``.
_HITS, _MISSES, _SETS = range(3)
_EVENTS: dict[Event, int] = {"delete": 3, "touch": 4, "incr": 4, "error": 5}
_SECONDS, _SIZE, _SIZED, _REBUILDS, _REBUILD, _DUPLICATES, _DUPLICATE, _EARLY, _PAIRED = range(6, 15)
_EMPTY = (0,) * 6 + (0.0, 0, 0, 0, 0.0, 0, 0.0, 0, 0)

#: What is known of a set that tells nothing of itself: neither sizes nor that it expires.
_UNKNOWN: tuple[Sequence[int | None], None] = ((), None)

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Drained:
    """What a book held, and the longest of its rebuilds."""

    counts: ByPattern
    rebuilds: list[Rebuild]


class Book:
    """What was counted of one alias since it was drained. Its owner keeps two threads from writing at once."""

    def __init__(self, alias: str) -> None:
        ignored = conf.current().RECORDING_IGNORES
        self._ignored = compile_globs(glob.encode("utf-8", "surrogateescape") for glob in ignored)
        self._life = _default_life(django_settings.CACHES.get(alias) or {})
        self._hits: dict[Any, list[Any]] = {}  # key -> times found, seconds; most keys are only ever found
        self._rows: dict[Any, Row] = {}
        self._open: dict[tuple[Any, Hashable], float] = {}  # (key, caller; None: the last task) -> when missed
        self._stored: dict[Any, float] = {}  # key -> when it was stored after a miss
        self._expected: dict[Any, float] = {}  # key -> until when it should be there
        self._longest: list[tuple[float, float, Any]] = []  # heap: seconds, monotonic end, key of rebuilds
        self._renew()

    def _renew(self) -> None:
        self._folder = Folder(MOST_PATTERNS, self._merge)
        self._totals: dict[int, Row] = {}

    def found(self, keys: Sequence[Any], seconds: float) -> None:
        """Keys were looked up and found."""
        hits = self._hits
        if len(hits) >= MOST_KEYS:
            self._fold()
            hits = self._hits
        for key in keys:
            if key in hits:
                hits[key][0] += 1
            else:
                hits[key] = [1, 0.0]
        hits[keys[0]][1] += seconds

    def missed(self, keys: Sequence[Any], seconds: float, now: float, caller: Hashable) -> None:
        """Keys were looked up and not found, at a moment (monotonic) by a caller."""
        missed, expected = self._open, self._expected
        for key in keys:
            row = self._rows.get(key) or self._row(key)
            row[_MISSES] += 1
            if len(missed) >= MOST_OPEN:
                _halve(missed)
            missed[key, caller] = now
            if type(caller) is not int:
                missed[key, None] = now
            if key in expected and expected.pop(key) > now + _SLACK:
                row[_EARLY] += 1
        row[_SECONDS] += seconds

    def stored(self, keys: Sequence[Any], seconds: float, stored: Stored, now: float, caller: Hashable) -> None:
        """Keys were stored."""
        missed, expected = self._open, self._expected
        sizes, timeout = stored or _UNKNOWN
        life = self._life if timeout is DEFAULT_TIMEOUT else timeout
        until = math.inf if life is None else now + (life if type(life) is int else _seconds(life))
        for i, key in enumerate(keys):
            row = self._rows.get(key) or self._row(key)
            row[_SETS] += 1
            began = missed.pop((key, caller), None)
            if type(caller) is not int:
                began = self._missed_by_task(key, began)
            if began is not None:
                self._rebuilt(key, row, began, now)
            if i < len(sizes) and (size := sizes[i]) is not None:
                row[_SIZE] += size
                row[_SIZED] += 1
            if len(expected) >= MOST_EXPECTED and key not in expected:
                _halve(expected)
            expected[key] = until
        row[_SECONDS] += seconds

    def add(self, event: Event, keys: Sequence[Any], seconds: float) -> None:
        """Any other event, see ``listeners.py``."""
        if event == "clear":
            self._open.clear()
            self._expected.clear()
            return
        for key in keys:
            row = self._rows.get(key) or self._row(key)
            row[_EVENTS[event]] += 1
            if event != "error":
                self._expected.pop(key, None)
        row[_SECONDS] += seconds

    def computed(self, key: Any, seconds: float) -> None:
        """A value was computed; counted unless it was a rebuild that is counted already."""
        row = self._row(key)
        if row[_PAIRED]:
            row[_PAIRED] -= 1
            return
        row[_REBUILDS] += 1
        row[_REBUILD] += seconds

    def _row(self, key: Any) -> Row:
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MOST_KEYS:
                self._fold()
            row = self._rows[key] = [*_EMPTY]
        return row

    def _missed_by_task(self, key: Any, began: float | None) -> float | None:
        """When a key that a task stores was missed: ``began`` if it did so itself. One that did not let others look up
        for it, as ``gather`` and ``wait_for`` do: it was the last of them."""
        last = self._open.get((key, None))
        return self._open.pop((key, None), None) if began in (None, last) else began

    def _rebuilt(self, key: Any, row: Row, missed: float, now: float) -> None:
        took = now - missed
        if took >= LONGEST_REBUILD:
            return
        row[_REBUILDS] += 1
        row[_REBUILD] += took
        row[_PAIRED] += 1
        if self._stored.pop(key, -math.inf) > missed:
            row[_DUPLICATES] += 1
            row[_DUPLICATE] += took
        if took >= stampedes.SHORTEST:
            keep = heappush if len(self._longest) < stampedes.MOST else heappushpop
            keep(self._longest, (took, now, key))
        if len(self._stored) >= MOST_OPEN:
            _halve(self._stored)
        self._stored[key] = now

    def drain(self, factor: float) -> Drained:
        """What was counted since the last time, each count multiplied."""
        self._fold()
        live = self._folder.live
        counts = {
            OTHER if slot == NO_PLACE else live[slot]: _counts(total).scaled(factor)
            for slot, total in self._totals.items()
        }
        rebuilds = self._rebuilds()
        self._totals.clear()
        if len(live) >= MOST_PATTERNS:  # a folder that is full learns no more
            self._renew()
        return Drained(counts, rebuilds)

    def _rebuilds(self) -> list[Rebuild]:
        longest, self._longest = self._longest, []
        named = [(name, took, end) for took, end, key in longest if (name := _name(key)) is not None]
        slots = self._folder.fold_page([name for name, _took, _end in named])
        since = time.time() - time.monotonic()
        return [
            stampedes.rebuild(self._folder.live[slot], name, since + end - took, since + end)
            for slot, (name, took, end) in zip(slots, named, strict=True)
            if slot != NO_PLACE
        ]

    def _fold(self) -> None:
        """Keys into their patterns."""
        hits, rows, self._hits, self._rows = self._hits, self._rows, {}, {}
        for (number, seconds), total in self._placed(hits):
            total[_HITS] += number
            total[_SECONDS] += seconds
        for row, total in self._placed(rows):
            _add(total, row)

    def _placed(self, rows: dict[Any, Row]) -> Iterator[tuple[Row, Row]]:
        """Each row that counts, with the total of its pattern."""
        ignored, totals = self._ignored, self._totals
        names = {key: name for key in rows if (name := _name(key)) is not None and not ignored(name)}
        slots = self._folder.fold_page([*names.values()])
        for slot, key in zip(slots, names, strict=True):
            if slot not in totals:
                totals[slot] = [*_EMPTY]
            yield rows[key], totals[slot]

    def _merge(self, source: int, target: int) -> None:
        if (total := self._totals.pop(source, None)) is not None:
            _add(self._totals.setdefault(target, [*_EMPTY]), total)


def _default_life(params: Any) -> int | None:
    """The timeout of a cache, read as Django reads it: often it is a text of the environment."""
    given = params.get("timeout", params.get("TIMEOUT", 300))
    try:
        return None if given is None else int(given)
    except (TypeError, ValueError):
        return 300


def _seconds(life: Any) -> float:
    """A timeout that some backend took; 0 for one of which only it knows what it means, so its key is never early."""
    try:
        return float(life)
    except (TypeError, ValueError):
        return 0.0


def _halve(remembered: dict[Any, Any]) -> None:
    """Forgets the older half. One at a time would be slow: a dictionary looks for its first item from the start."""
    for key in [*islice(remembered, len(remembered) // 2)]:
        del remembered[key]


def _name(key: Any) -> bytes | None:
    """The key as bytes; ``None`` for one that has no name. No ``__str__`` of the project's own is called here."""
    if not isinstance(key, str | bytes | int | float):
        return None
    try:
        return str(key).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair
        return None


def _add(total: Row, row: Row) -> None:
    for place, number in enumerate(row):
        if number:
            total[place] += number


def _counts(row: Row) -> Counts:
    events, rest = row[:6], row[6:14]
    seconds, size, sized, rebuilds, rebuild, duplicates, duplicate, early = rest
    spent = _micros(seconds), size, sized, rebuilds, _micros(rebuild), duplicates, _micros(duplicate), early
    return Counts(*[*events, *spent])


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)

"""Computations of one key that ran at the same time in several processes. Pure.

Each process writes down its longest rebuilds, with a digest of the key; where those of two processes overlap, the later
one was wasted. Inside one process, ``book.py`` sees it by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from cache_admin.monitoring.usage import NAMES, encoded

#: Rebuilds that a process writes down at once, and the shortest of them in seconds.
MOST, SHORTEST = 20, 0.02
_DUPLICATES, _MICROS = NAMES.index("duplicates"), NAMES.index("duplicate_micros")


class Rebuild(NamedTuple):
    """One computation, as it is stored."""

    pattern: str  #: see ``usage.encoded``
    key: str  #: digest
    start: float  #: Unix time, seconds
    stop: float


def rebuild(template: bytes, name: bytes, start: float, stop: float) -> Rebuild:
    """A computation of the key ``name``; what is stored does not tell it."""
    digest = blake2b(name, digest_size=8).hexdigest()
    return Rebuild(encoded(template), digest, round(start, 3), round(stop, 3))


def met(told: Iterable[tuple[str, Sequence[Sequence[object]]]]) -> dict[str, list[int]]:
    """The duplicates among what processes (by name) told of their rebuilds, as stored counts by pattern."""
    by_key: defaultdict[tuple[str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for process, rebuilds in told:
        for one in rebuilds:
            pattern, key, start, stop = Rebuild(*one)  # type: ignore[arg-type]
            by_key[pattern, key].append((start, stop, process))
    found: dict[str, list[int]] = {}
    for (pattern, _key), runs in by_key.items():
        if wasted := list(_later(sorted(runs))):
            numbers = found.setdefault(pattern, [0] * len(NAMES))
            numbers[_DUPLICATES] += len(wasted)
            numbers[_MICROS] += round(sum(wasted) * 1e6)
    return found


def _later(runs: Sequence[tuple[float, float, str]]) -> Iterable[float]:
    """Seconds of each run that began while another process was at it."""
    for i, (start, stop, process) in enumerate(runs):
        if any(other != process and until > start for _since, until, other in runs[:i]):
            yield stop - start

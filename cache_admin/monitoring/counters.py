"""A server's counters at two moments, and what happened in between. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Counters:
    """One stored reading of one server, its counters as the server keeps them."""

    at: float  #: Unix time, seconds
    run_id: str
    process: int = 0  #: who took it
    hits: int | None = None
    misses: int | None = None
    commands: int | None = None
    evicted: int | None = None
    expired: int | None = None
    memory: int | None = None  #: bytes
    probed_hits: int = 0  #: look-ups of the dashboard by ``process`` so far
    probed_misses: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened between two readings of one epoch: counts, not rates. ``memory`` is bytes at its end."""

    start: float
    stop: float
    hits: float
    misses: float
    commands: float
    evicted: float
    expired: float
    memory: float | None

    @property
    def seconds(self) -> float:
        return self.stop - self.start


def intervals(readings: Sequence[Counters]) -> Iterator[Interval]:
    """The intervals between readings of one server, oldest first; none where an epoch ends.

    An epoch ends where the server process changed or any counter went backwards. The probes of every process known
    so far are taken off the look-ups; those that become known late may not make a count negative.
    """
    probes: dict[int, tuple[int, int]] = {}
    for before, after in pairwise(readings):
        known_before = _total(probes, before)
        known_after = _total(probes, after)
        if after.at <= before.at or _new_epoch(before, after):
            probes.clear()
            continue
        yield Interval(
            start=before.at,
            stop=after.at,
            hits=max(0, _rise(before.hits, after.hits) - max(0, known_after[0] - known_before[0])),
            misses=max(0, _rise(before.misses, after.misses) - max(0, known_after[1] - known_before[1])),
            commands=_rise(before.commands, after.commands),
            evicted=_rise(before.evicted, after.evicted),
            expired=_rise(before.expired, after.expired),
            memory=after.memory,
        )


def _total(probes: dict[int, tuple[int, int]], reading: Counters) -> tuple[int, int]:
    probes[reading.process] = reading.probed_hits, reading.probed_misses
    return sum(hits for hits, _misses in probes.values()), sum(misses for _hits, misses in probes.values())


def _rise(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else after - before


def _new_epoch(before: Counters, after: Counters) -> bool:
    return before.run_id != after.run_id or any(
        _rise(getattr(before, name), getattr(after, name)) < 0
        for name in ("hits", "misses", "commands", "evicted", "expired")
    )

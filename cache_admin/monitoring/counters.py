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
    jumped: bool = False  #: the clock of whoever took it was changed since the reading before
    hits: int | None = None
    misses: int | None = None
    commands: int | None = None
    evicted: int | None = None
    expired: int | None = None
    memory: int | None = None  #: bytes
    probed_hits: int = 0  #: look-ups of the dashboard itself, of all its processes, whatever was reset
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

    The dashboard's own look-ups are taken off; those that become known late may not make a count negative.
    """
    for before, after in pairwise(readings):
        if after.at <= before.at or epoch_ends(before, after):
            continue
        yield Interval(
            start=before.at,
            stop=after.at,
            hits=_less(_rise(before.hits, after.hits), before.probed_hits, after.probed_hits),
            misses=_less(_rise(before.misses, after.misses), before.probed_misses, after.probed_misses),
            commands=_rise(before.commands, after.commands),
            evicted=_rise(before.evicted, after.evicted),
            expired=_rise(before.expired, after.expired),
            memory=after.memory,
        )


def epoch_ends(before: Counters, after: Counters) -> bool:
    """Whether no difference may be taken: another server process, counters that were reset, or a clock that was."""
    return (
        before.run_id != after.run_id
        or after.jumped
        or _rise(before.commands, after.commands) < 0
        or _rise(before.hits, after.hits) < 0
        or _rise(before.misses, after.misses) < 0
        or _rise(before.evicted, after.evicted) < 0
        or _rise(before.expired, after.expired) < 0
    )


def _rise(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else after - before


def _less(rise: int, probed_before: int, probed_after: int) -> int:
    """Looks of a process that is forgotten leave the sum of all; that is no reason to add any."""
    return max(0, rise - max(0, probed_after - probed_before))

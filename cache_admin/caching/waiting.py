"""Callers of one process that wait for one key: one of them asks the cache, the others sleep until it knows more.

So a stampede of 200 callers in four processes asks four times per interval, not 200 times.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Seconds between two looks while waiting: short at first, then an eighth of the time waited so far, up to the longest.
#: A waiting process asks at most 500 times in the first second's start and 80 times a second later, one key each.
SHORTEST = 0.002
LONGEST = 0.0125
_GROWTH = 8

Event = threading.Event | asyncio.Event
_turns: dict[Hashable, Event] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether this caller asks the cache for the others, or sleeps until ``event``."""

    asks: bool
    event: Event


@contextmanager
def turn(name: Hashable) -> Iterator[Turn]:
    """Joins those who wait for ``name``. The first one asks; when it leaves, the others wake up.

    Tasks of an event loop wait apart from threads and from other loops.
    """
    loop = _running_loop()
    key = (id(loop) if loop else None, name)
    with _lock:
        event = _turns.get(key)
        asks = event is None
        if event is None:
            event = _turns[key] = asyncio.Event() if loop else threading.Event()
    try:
        yield Turn(asks, event)
    finally:
        if asks:
            with _lock:
                _turns.pop(key, None)  # not there in a child
            event.set()


def pause(waited: float) -> float:
    """Seconds until the next look of a caller that has waited for ``waited`` seconds."""
    return min(LONGEST, max(SHORTEST, waited / _GROWTH))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _after_fork() -> None:
    """Those who ask for the others stay with the parent, and may hold the lock there."""
    global _lock
    _lock = threading.Lock()
    _turns.clear()


os.register_at_fork(after_in_child=_after_fork)

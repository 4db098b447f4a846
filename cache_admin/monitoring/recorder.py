"""Counts what the application asks of its caches, per alias and pattern, in the memory of this process.

:meth:`Recorder.record` is the listener: it only queues, without a lock. Every ``BATCH`` operations whoever comes by
counts those in the queue by key, and every ``MOST_KEYS`` different keys, and before every :meth:`~Recorder.drain`, keys
are folded into patterns all at once. So memory is bounded and an operation costs well under a microsecond.
``flushing.py`` writes down what was drained.
"""

from __future__ import annotations

import threading
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from random import random
from time import monotonic
from typing import Any

from cache_admin import conf
from cache_admin.bookkeeping import caller, thread
from cache_admin.monitoring.book import Book, Drained
from cache_admin.monitoring.listeners import Event, Stored

#: Operations that are counted at once.
BATCH = 256
#: Operations that one caller counts at most, however fast others bring more.
_MOST = 4 * BATCH

#: Alias, event, keys, seconds, what was stored, moment (monotonic) and caller; the last two not for hits.
_Told = tuple[str, Event, Sequence[Any], float, Stored, float, Hashable]


class Recorder:
    """Counts for all aliases that are to be recorded, from any thread."""

    #: Called when a batch is full.
    when_busy: Callable[[], object] | None = None

    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch  # of the first one
        self._queue: deque[_Told] = deque()
        self._append, self._take = self._queue.append, self._queue.popleft
        self._counting = threading.Lock()  # the books are written under it
        self._books: dict[str, Book | None] = {}
        self._share: float | None = None

    def record(self, alias: str, event: Event, keys: Sequence[Any], seconds: float, stored: Stored = None) -> None:
        """The listener."""
        if self._share != 1.0 and self._left_out():
            return
        if event == "hit":
            self._append((alias, event, keys, seconds, None, 0.0, None))
        else:
            who = thread.caller if _get_running_loop() is None else caller()
            self._append((alias, event, keys, seconds, stored, monotonic(), who))
        if len(self._queue) >= self._batch and self._counting.acquire(blocking=False):
            self._batch = BATCH
            try:
                self._count(_MOST)
            finally:
                self._counting.release()
            if self.when_busy:
                self.when_busy()

    def computed(self, alias: str, key: Any, seconds: float) -> None:
        """A value of the caching library was computed; counted unless the set after a miss told of it already."""
        if self._share != 1.0 and self._left_out():
            return
        with self._counting:
            self._count(None)
            if (book := self._book(alias)) is not None:
                book.computed(key, seconds)

    def drain(self) -> dict[str, Drained]:
        """By alias, what was counted since the last time; aliases with nothing are left out."""
        with self._counting:
            self._count(None)
            factor = 1 / (self._share or 1.0)
            drained = {alias: book.drain(factor) for alias, book in self._books.items() if book}
        return {alias: one for alias, one in drained.items() if one.counts}

    def forget(self, batch: int = BATCH) -> None:
        """Drops what was counted, and the settings that were read with it. The first batch is full with so many."""
        self.__init__(batch)  # type: ignore[misc]  # after a fork its locks may be held by threads that are not there

    def _left_out(self) -> bool:
        if self._share is None:
            self._share = conf.current().RECORDING_SHARE
        return random() >= self._share  # noqa: S311

    def _count(self, most: int | None) -> None:
        """Counts what is in the queue."""
        books, take = self._books, self._take
        for _turn in range(len(self._queue) if most is None else most):
            try:
                alias, event, keys, seconds, stored, now, who = take()
            except IndexError:
                return
            try:
                book = books[alias]
            except KeyError:
                book = self._book(alias)
            if book is None:
                continue
            try:
                if event == "hit":
                    book.found(keys, seconds)
                elif event == "miss":
                    book.missed(keys, seconds, now, who)
                elif event == "set":
                    book.stored(keys, seconds, stored, now, who)
                else:
                    book.add(event, keys, seconds)
            except TypeError:  # unhashable keys, which only errors and misses have
                continue

    def _book(self, alias: str) -> Book | None:
        if alias not in self._books:
            only = conf.current().RECORDED_ALIASES
            self._books[alias] = Book(alias) if only is None or alias in only else None
        return self._books[alias]


#: The recorder of this process.
recorder = Recorder()

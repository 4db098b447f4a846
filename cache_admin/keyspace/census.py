"""Pages of a walk -> a report: the census of one alias, complete, interrupted or sampled.

Names are folded while the server measures their page; what is left per key afterwards is adding up. Bytes are asked
for every key, expiry and type for some only, for each costs two more commands: the first ``PROBES`` keys of a pattern
(``SAMPLE_PROBES`` where time is short), then every ``THIN``-th key. Keyspaces up to ``SMALL`` keys (``SAMPLE_SMALL``)
are probed whole, so their figures are exact. A key that SCAN returns twice, as it may while the server resizes its
table, is counted twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple, cast

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters.base import Adapter, MeasuredPage, Probe
from cache_admin.exceptions import NotPermitted
from cache_admin.keyspace.groups import Groups
from cache_admin.keyspace.largest import Largest
from cache_admin.keyspace.report import Report
from cache_admin.keyspace.summary import Findings, summarise
from cache_admin.keyspace.tally import Tally

SMALL = 100_000
SAMPLE_SMALL = 5_000
PROBES = 200
SAMPLE_PROBES = 50
THIN = 50
#: Seconds that a sample may take beyond its budget, so that some expiry is known of it.
PATIENCE = 0.5
#: Probes beyond these, and beyond this share of the keys, are not made, however many patterns there are.
MOST_PROBES = 10_000
MOST_PROBES_SHARE = 0.05


class _Rows(NamedTuple):
    """Keys of a page with their tallies and sizes, and which of them are own (``None``: all)."""

    keys: Sequence[bytes]
    tallies: list[Tally]
    sizes: Sequence[int]
    own: list[bool] | None


class Census:
    """Adds up the pages of ``adapter.walk(census.choose, cursor=census.cursor, run_id=census.run_id)``.

    ::

        for page in adapter.walk(census.choose, cursor=census.cursor, run_id=census.run_id):
            census.feed(page)
        report = census.report()

    It may stop after any page; :meth:`report` then tells what was seen so far, as a sample. :meth:`dump` and
    :meth:`restore` carry it into another process. Making one asks the server for its number of keys, and raises what
    that raises.
    """

    def __init__(self, adapter: Adapter, *, probes: int = PROBES, small: int = SMALL) -> None:
        self.adapter = adapter
        self._wanted = probes
        self._small = small
        self.cursor = 0
        self.run_id = ""
        self.finished = False  #: the walk came to its end
        self.scanned = 0
        self.total = _count(adapter)
        self.started = time.time()
        self.seconds = 0.0  #: spent walking, without pauses
        self._restarted = False
        self._chosen: tuple[Sequence[bytes], list[Tally], list[bool] | None] | None = None
        self._unsettled: _Rows | None = None
        self._answers: Mapping[bytes, Probe] = {}
        self._answered = 0.0  #: Unix time
        self._reset()

    def _reset(self) -> None:
        self._groups = Groups(self.adapter)
        self._asked: dict[bytes, Tally] = {}
        self._probes = 0
        self._offset = 0
        self._measured = False
        self._largest = Largest(conf.current().LARGE_KEYS)
        self.scanned = 0
        self.finished = False
        self.started = time.time()
        self.seconds = 0.0

    # While the server measures

    def choose(self, names: Sequence[bytes]) -> Sequence[bytes]:
        """Folds the names of the page to come; returns the keys to probe. For :meth:`Adapter.walk`."""
        self._settle()
        tallies, mask = self._groups.place(names)
        self._chosen = names, tallies, mask
        if mask is not None:
            names = [name for name, mine in zip(names, mask, strict=True) if mine]
            tallies = [tally for tally, mine in zip(tallies, mask, strict=True) if mine]
        return self._choose(names, tallies)

    def _choose(self, names: Sequence[bytes], tallies: Sequence[Tally]) -> list[bytes]:
        if 0 < self.total <= self._small:
            asked = dict(zip(names, tallies, strict=True))
        else:
            asked = dict(zip(names[self._offset :: THIN], tallies[self._offset :: THIN], strict=True))
            self._offset = (self._offset - len(names)) % THIN
            hungry = {tally for tally in set(tallies) if tally.asked < self._wanted}
            if hungry and self._probes < MOST_PROBES + MOST_PROBES_SHARE * self.scanned:
                for name, tally in zip(names, tallies, strict=True):
                    if tally in hungry and tally.asked < self._wanted:
                        tally.asked += 1
                        asked[name] = tally
        self._asked.update(asked)
        self._probes += len(asked)
        return [*asked, *(key for key in self._largest.to_probe() if key not in asked)]

    # When it has measured

    def feed(self, page: MeasuredPage) -> None:
        """Takes a page, to be added up while the server works on the next one. Starts over when it comes from another
        server process than the page before."""
        began = time.perf_counter()
        self._settle()
        chosen = self._chosen
        self._chosen = None
        if self.run_id and page.run_id != self.run_id:
            self._reset()
            self._restarted = True
            chosen = None
        self.run_id, self.cursor, self.total = page.run_id, page.cursor, page.total
        if chosen is None or chosen[0] is not page.keys:
            chosen = page.keys, *self._groups.place(page.keys)
        self._unsettled = self._present(page, *chosen[1:])
        self._answers = page.probes
        if page.probes:
            self._answered = time.time()
        self.scanned += len(self._unsettled.keys)
        self.finished = page.cursor == 0
        self.seconds += page.busy + time.perf_counter() - began

    def _present(self, page: MeasuredPage, tallies: list[Tally], mask: list[bool] | None) -> _Rows:
        """The keys of a page that are there. Where sizes may be read, an own key without one is gone; a foreign one may
        as well be out of bounds."""
        if None not in page.sizes:
            self._measured = self._measured or bool(page.keys)
            return _Rows(page.keys, tallies, cast("Sequence[int]", page.sizes), mask)
        self._measured = self._measured or any(size is not None for size in page.sizes)
        rows = [
            row
            for row in zip(page.keys, tallies, page.sizes, mask or [True] * len(tallies), strict=True)
            if row[2] is not None or not self._measured or not row[3]
        ]
        return _Rows(
            [row[0] for row in rows], [row[1] for row in rows], [row[2] or 0 for row in rows], [row[3] for row in rows]
        )

    def _settle(self) -> None:
        """Adds up the page that was taken last."""
        if self._unsettled is None:
            return
        keys, tallies, measured, mask = self._unsettled
        self._unsettled = None
        for key, tally, size in zip(keys, tallies, measured, strict=True):
            if size > tally.floor:
                tally.rank(key, size)
        # Allocators know few sizes, so most keys of a page share their tally and size with others.
        for (tally, size), number in Counter(zip(tallies, measured, strict=True)).items():
            tally.keys += number
            tally.size += number * size
            tally.squares += number * size * size
        if max(measured, default=-1) > self._largest.floor:
            for key, tally, size, mine in zip(keys, tallies, measured, mask or [True] * len(keys), strict=True):
                if mine and size > self._largest.floor:
                    self._largest.keep(size, key, tally)
        since = self._answered - self.started // 60 * 60
        for key, probe in self._answers.items():
            self._largest.answer(key, probe)
            if (asked := self._asked.pop(key, None)) is not None:
                asked.end.probe(probe, since)

    @property
    def probed(self) -> bool:
        """The expiry of some keys was answered."""
        return self._answered > 0

    # What it found

    def report(self, *, complete: bool | None = None) -> Report:
        """What was found up to now. ``complete=False`` makes a finished walk count as partial; an unfinished one
        always does."""
        self._settle()
        findings = Findings(
            adapter=self.adapter,
            started=self.started,
            seconds=self.seconds,
            complete=self.finished and complete is not False,
            scanned=self.scanned,
            total=self.total,
            measured=self._measured or not self.scanned,
            own=self._groups.own,
            foreign=self._groups.foreign,
            largest=self._largest,
            notes=tuple(self._notes()),
        )
        return summarise(findings)

    def _notes(self) -> list[str]:
        notes = []
        if self._restarted:
            notes.append(_("The server was restarted; the scan began again."))
        if self.finished and self.total and self.scanned > self.total * 1.01:
            notes.append(
                _(
                    "%(more)d keys more than there were at the start were met: new ones, or some met twice because the "
                    "server was resizing its table."
                )
                % {"more": self.scanned - self.total}
            )
        return notes

    # Carried into another process

    def dump(self) -> dict[str, Any]:
        """All that :meth:`restore` needs, as JSON. Probes on their way are lost."""
        self._settle()
        return {
            "cursor": self.cursor,
            "run_id": self.run_id,
            "scanned": self.scanned,
            "total": self.total,
            "started": self.started,
            "seconds": self.seconds,
            "finished": self.finished,
            "measured": self._measured,
            "groups": self._groups.dump(),
            "largest": self._largest.dump(),
        }

    @classmethod
    def restore(cls, adapter: Adapter, dumped: dict[str, Any]) -> Census:
        """The census that was dumped, to be walked on from its cursor."""
        census = cls(adapter)
        for name in ("cursor", "run_id", "scanned", "total", "started", "seconds", "finished"):
            setattr(census, name, dumped[name])
        census._measured = dumped["measured"]
        census._groups.restore(dumped["groups"])
        keys = census._largest.restore(dumped["largest"])
        strip = adapter.codec.strip
        placed = census._groups.own.place([strip(key) for key in keys])
        census._largest.tallies.update(zip(keys, placed, strict=True))
        return census


def _count(adapter: Adapter) -> int:
    """Keys of the database, before a walk holds a connection; 0 where that may not be asked."""
    try:
        return adapter.count()
    except NotPermitted:
        return 0


def sample(adapter: Adapter, budget_ms: float, *, start: tuple[int, str] = (0, "")) -> Report:
    """Walks for ``budget_ms`` and reports; complete and exact if that was enough for the whole keyspace.

    ``start`` is a cursor and the ``run_id`` that it belongs to. Raises what :meth:`Adapter.walk` raises.
    """
    census = Census(adapter, probes=SAMPLE_PROBES, small=SAMPLE_SMALL)
    started = began = time.perf_counter()
    deadline = began + budget_ms / 1000
    with closing(adapter.walk(census.choose, cursor=start[0], run_id=start[1])) as pages:
        for page in pages:
            census.feed(page)
            now = time.perf_counter()
            # Another page takes as long as this one did. The second one brings the answers to the first one's probes.
            if 2 * now - began > deadline and (census.probed or now - started > PATIENCE):
                break
            began = now
    return census.report(complete=start[0] == 0)

"""The fast path through a whole keyspace: SCAN and MEMORY USAGE, one round trip per page.

While the server measures a page, the caller folds its names in Python (``choose``); the listing of the next page
travels in the same round trip. See ``docs/architecture.md`` for the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from redis.exceptions import ResponseError

from cache_admin.adapters import errors
from cache_admin.adapters.base import SCAN_COUNT, SLOW_PAGE, ChooseProbes, MeasuredPage, Probe
from cache_admin.adapters.connections import CountProbes, Link, Reply, pack
from cache_admin.adapters.redis_info import keyspace, parse
from cache_admin.exceptions import NotPermitted, Unsupported

_MEMORY = b"*3\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n$%d\r\n%b\r\n"
_PTTL = b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n"
#: Types of the replies of MEMORY USAGE while nothing is forbidden.
_PLAIN = {int, type(None)}
_TYPE = b"*2\r\n$4\r\nTYPE\r\n$%d\r\n%b\r\n"

#: Keys that a page is asked for at least, however slow the server is.
LEAST_COUNT = 100

Open = Callable[[], AbstractContextManager[Link]]


def scan_command(cursor: int, glob: bytes, count: int = SCAN_COUNT) -> bytes:
    """A packed SCAN with at most ``SCAN_COUNT`` as its count."""
    words = [b"SCAN", b"%d" % cursor]
    if glob:
        words += [b"MATCH", glob]
    return pack(*words, b"COUNT", b"%d" % max(1, min(count, SCAN_COUNT)))


def listed(reply: Reply) -> tuple[int, list[bytes]]:
    """Cursor and keys of a SCAN reply, or its error raised."""
    if isinstance(reply, ResponseError):
        raise reply
    return int(reply[0]), reply[1]


@dataclass(slots=True)
class Walk:
    """One walk over one database. ``open_link`` gives a connection for one round trip, so that other readers get
    their turn between two pages."""

    alias: str
    open_link: Open
    count_probes: CountProbes
    choose: ChooseProbes
    glob: bytes
    db: int
    run_id: str = field(init=False, default="")
    may_measure: bool = field(init=False, default=True)
    may_probe: bool = field(init=False, default=True)
    count: int = field(init=False, default=SCAN_COUNT)  #: keys of the next page
    way: float = field(init=False, default=0.0)  #: seconds there and back

    def pages(self, cursor: int, run_id: str) -> Generator[MeasuredPage, None, None]:
        """Pages from ``cursor`` on, or from the start where ``run_id`` is not the server's.

        The last page answers the probes chosen for itself as well, since none follows.
        """
        with self.open_link() as link:
            self.run_id = link.run_id()
            if run_id != self.run_id:
                cursor = 0
            total = self._total(link)
            cursor, keys = listed(link.exchange([scan_command(cursor, self.glob)])[0])
        page = _Page(self, keys, cursor, self.measures(keys))
        while True:
            page.fetch()
            took = page.busy - self.way
            self._adapt(took)
            if not page.cursor and page.chosen:
                last = _Page(self, wanted=page.chosen)
                last.fetch()
                page.probes.update(last.probes)
                page.busy += last.busy
            yield MeasuredPage(
                page.cursor,
                page.keys,
                page.sizes,
                page.probes,
                page.busy,
                self.run_id,
                total,
                slow=took > SLOW_PAGE,
                count=self.count,
            )
            if not page.cursor:
                return
            page = _Page(self, page.next_keys, page.next_cursor, page.next_measures, page.chosen)

    def _adapt(self, seconds: float) -> None:
        """Asks a server that is slow for less at once, so that its other clients wait less, and for more again when it
        has recovered. Not with a glob: a listing is gone on with later, and must meet the same pages again."""
        if self.glob:
            return
        if seconds > SLOW_PAGE:
            self.count = max(LEAST_COUNT, self.count // 2)
        elif self.count < SCAN_COUNT and seconds < SLOW_PAGE / 4:
            self.count = min(SCAN_COUNT, 2 * self.count)

    def measures(self, keys: Sequence[bytes]) -> list[bytes]:
        """The packed commands that measure a page; none once they turned out to be forbidden."""
        return [_MEMORY % (len(key), key) for key in keys] if self.may_measure else []

    def _total(self, link: Link) -> int:
        """Keys of the database; 0 where neither DBSIZE nor INFO is permitted."""
        began = time.perf_counter()
        size, info = link.exchange([pack(b"DBSIZE"), pack(b"INFO", b"keyspace")])
        self.way = time.perf_counter() - began
        if not isinstance(size, ResponseError):
            return int(size)
        return 0 if isinstance(info, ResponseError) else keyspace(parse(info)).get(str(self.db), 0)


@dataclass(slots=True)
class _Page:
    """One round trip: the listing behind ``cursor``, sizes of ``keys``, probes of ``wanted``.

    The listing comes first, so that the next page's commands are packed while the server still measures this one.
    """

    walk: Walk
    keys: Sequence[bytes] = ()
    cursor: int = 0
    measures: Sequence[bytes] = ()
    wanted: Sequence[bytes] = ()
    sizes: Sequence[int | None] = ()
    probes: dict[bytes, Probe] = field(default_factory=dict)
    chosen: Sequence[bytes] = ()
    next_cursor: int = 0
    next_keys: Sequence[bytes] = ()
    next_measures: Sequence[bytes] = ()
    busy: float = 0.0
    _folded: bool = False

    def fetch(self) -> None:
        """Reads the page. A connection that was closed under us is replaced once; every command here only reads."""
        try:
            self._fetch()
        except errors.ConnectionLost:
            self._fetch()

    def _fetch(self) -> None:
        walk = self.walk
        listing = [scan_command(self.cursor, walk.glob, walk.count)] if self.cursor else []
        measures = self.measures if walk.may_measure else []
        commands = [*listing, *measures]
        probes = len(commands)
        for key in self.wanted if walk.may_probe else ():
            commands += _PTTL % (len(key), key), _TYPE % (len(key), key)
        with walk.open_link() as link:
            if link.run_id() != walk.run_id:
                raise errors.RESTARTED.error(walk.alias, time.time())
            started = time.perf_counter()
            replies = link.exchange(commands, self._fold, self._look_ahead if listing else None)
            self.busy += time.perf_counter() - started
            self._measure(replies[len(listing) : probes])
            self._probe(replies[probes:])
        self._fold()

    def _look_ahead(self, reply: Reply) -> None:
        self.next_cursor, self.next_keys = listed(reply)
        self.next_measures = self.walk.measures(self.next_keys)

    def _fold(self) -> None:
        if not self._folded:
            self._folded = True
            if self.keys:
                self.chosen = self.walk.choose(self.keys)

    def _measure(self, replies: list[Reply]) -> None:
        if not replies:
            self.sizes = [None] * len(self.keys)
        elif _PLAIN.issuperset(map(type, replies)):
            self.sizes = replies
        else:
            self.sizes = [None if isinstance(reply, ResponseError) else reply for reply in replies]
            self.walk.may_measure = not any(map(_is_forbidden, replies))

    def _probe(self, replies: list[Reply]) -> None:
        hits = misses = 0
        for key, ttl, kind in zip(self.wanted, replies[::2], replies[1::2], strict=bool(replies)):
            if _is_forbidden(ttl):
                self.walk.may_probe = False
            _is_forbidden(kind)
            for reply, absent in ((ttl, -2), (kind, b"none")):
                if not isinstance(reply, ResponseError):
                    misses += reply == absent
                    hits += reply != absent
            if isinstance(ttl, ResponseError):
                continue
            if isinstance(kind, ResponseError):
                name = "none" if ttl == -2 else ""
            else:
                name = "none" if ttl == -2 else kind.decode()
            self.probes[key] = Probe(ttl / 1000 if ttl >= 0 else None, name)
        if hits or misses:
            self.walk.count_probes(hits, misses)


def _is_forbidden(reply: Reply) -> bool:
    """Whether the command as a whole is forbidden or unknown; a key out of bounds is not, any other error is raised."""
    if not isinstance(reply, ResponseError):
        return False
    verdict = errors.judge(reply)
    if verdict.kind not in (NotPermitted, Unsupported):
        raise reply
    return verdict is not errors.NO_ACCESS

"""A look at some values of every pattern: which of them can nobody read any more? Reads, and changes nothing.

Names come by SCAN, values by range, so that a large one costs no more than a small one. The server counts such reads
as look-ups; they are counted as our own and taken off its hit rate. Where it has no ``CLIENT NO-TOUCH`` (before
Redis 7.2), the keys read count as just used.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import django
from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.adapters.base import Adapter, Storage
from cache_admin.exceptions import KeyChanges, NotPermitted, Unavailable, Unsupported
from cache_admin.keyspace import catalogue, unreadable
from cache_admin.keyspace.samples import Samples
from cache_admin.keyspace.unreadable import Trouble, ValuesReport
from cache_admin.models import Operation
from cache_admin.operations.base import Kind, Plan, Step
from cache_admin.values.readable import Fault, faults, sentence

READ_BYTES = 65_536  #: of one value
MOST_VALUES = 5_000
MOST_BYTES = 64 * 1024 * 1024
_READ_AT_ONCE = 25  #: values between two looks whether to go on
_DUMP_EVERY = 5.0
#: Families that programs write past the cache, so that its serializer has nothing to do with their values.
_RAW_FAMILIES = frozenset({"lock", "queue"})


class Look:
    """One walk: where it stands, and what it found. :meth:`dump` and :meth:`restore` carry it elsewhere."""

    _COUNTS = ("cursor", "run_id", "started", "seconds", "scanned", "total", "read", "refused", "size", "finished")

    def __init__(self, cache: Adapter) -> None:
        self.cache = cache
        self.storage = cache.storage
        self._begin()

    def _begin(self) -> None:
        self.samples = Samples()
        self.cursor = 0
        self.run_id = ""
        self.finished = False
        self.started = time.time()
        self.seconds = 0.0
        self.scanned = self.read = self.refused = self.size = 0
        self.total = _count(self.cache)

    @property
    def full(self) -> bool:
        """As many values were read as may be."""
        return self.read >= MOST_VALUES or self.size >= MOST_BYTES

    def page(self) -> Sequence[bytes]:
        """The next keys. On another server process than before the walk begins again."""
        page = self.cache.scan(self.cursor, run_id=self.run_id)
        if self.run_id and page.run_id != self.run_id:
            self._begin()
        self.cursor, self.run_id, self.finished = page.cursor, page.run_id, page.cursor == 0
        self.scanned += len(page.keys)
        return page.keys

    def look_into(self, keys: Sequence[bytes]) -> Generator[None, None, None]:
        """Reads the values chosen of a page; yields now and then."""
        codec = self.cache.codec
        own = [key for key in keys if codec.owns(key)]
        chosen = self.samples.choose([codec.strip(key) for key in own])
        for number, (i, sample) in enumerate(chosen, 1):
            if self.full:
                return
            family = catalogue.family(codec.strip(own[i]))
            if family and family.name in _RAW_FAMILIES:
                continue
            try:
                value = self.cache.read(own[i], limit=READ_BYTES)
            except NotPermitted:
                self.refused += 1
                continue
            except KeyChanges:
                continue
            if value.type == "string":
                self.read += 1
                self.size += len(value.data)
                found = ((fault.code, fault.detail, fault.fatal) for fault in faults(value, self.storage))
                self.samples.take(sample, own[i], found)
            if number % _READ_AT_ONCE == 0:
                yield

    def report(self) -> ValuesReport:
        return ValuesReport(
            alias=self.cache.alias,
            started=self.started,
            seconds=self.seconds,
            complete=self.finished and not self.full,
            scanned=self.scanned,
            total=max(self.total, self.scanned),
            looked_at=self.read,
            refused=self.refused,
            serializer=self.storage.serializer,
            compressor=self.storage.compressor,
            django=django.__version__,
            python=platform.python_version(),
            patterns=self.samples.patterns,
        )

    def dump(self) -> dict[str, Any]:
        """As JSON, between two pages."""
        return {name: getattr(self, name) for name in self._COUNTS} | {"samples": self.samples.dump()}

    @classmethod
    def restore(cls, cache: Adapter, dumped: dict[str, Any]) -> Look:
        look = cls(cache)
        for name in cls._COUNTS:
            setattr(look, name, dumped[name])
        look.samples.restore(dumped["samples"])
        return look


def _count(cache: Adapter) -> int:
    """Keys of the database; 0 where that may not be asked."""
    try:
        return cache.count()
    except NotPermitted:
        return 0


class Values(Kind):
    """Reads some values of every pattern. Whatever ends it, what was seen is kept as a report."""

    name = "values"
    permission = "view_values"
    changes = False

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        cache = adapter(operation.alias)
        look = Look.restore(cache, operation.cursor) if operation.cursor else Look(cache)
        cursor, dumped, before = operation.cursor, time.monotonic(), look.read
        try:
            yield Step(cursor=cursor, scanned=look.scanned - operation.scanned, total=look.total)
            while not (look.finished or look.full):
                began = time.perf_counter()
                keys = look.page()
                for _part in look.look_into(keys):
                    busy = time.perf_counter() - began
                    look.seconds += busy
                    yield Step(cursor=cursor, busy=busy)
                    began = time.perf_counter()
                busy = time.perf_counter() - began
                look.seconds += busy
                if time.monotonic() - dumped > _DUMP_EVERY:
                    cursor, dumped = look.dump(), time.monotonic()
                yield Step(cursor=cursor, scanned=look.scanned - operation.scanned, total=look.total, busy=busy)
        except Unavailable:
            yield Step(cursor=look.dump(), scanned=look.scanned - operation.scanned)
            raise
        finally:
            if look.read > before or look.finished:
                unreadable.save(look.report())


def sentence_of(look: ValuesReport, trouble: Trouble) -> str:
    """A fault that a look found, for people."""
    return sentence(
        Fault(trouble.code, trouble.detail), Storage(look.serializer, look.compressor), django_version=look.django
    )


def as_json(look: ValuesReport, name: Callable[[bytes], str]) -> dict[str, Any]:
    """A look for scripts; ``name`` makes text of a raw key."""
    own = ("alias", "complete", "scanned", "total", "looked_at", "unreadable", "refused", "serializer", "compressor")
    return {field: getattr(look, field) for field in (*own, "django", "python", "started", "seconds")} | {
        "patterns": [
            {
                "pattern": pattern.pattern,
                "keys": pattern.keys,
                "looked_at": pattern.looked_at,
                "unreadable": pattern.unreadable,
                "faults": [
                    {
                        "code": trouble.code,
                        "detail": trouble.detail,
                        "text": sentence_of(look, trouble),
                        "fatal": trouble.fatal,
                        "values": trouble.values,
                        "example": name(trouble.example),
                    }
                    for trouble in pattern.troubles
                ],
            }
            for pattern in look.patterns
        ]
    }


def plan(alias: str, *, fast: bool = False) -> Plan:
    """A look at the values of ``alias``, for ``runner.start``. ``fast``: without pauses for the server.

    Raises :class:`Unsupported` where values cannot be listed and read, and :class:`UnknownAlias`.
    """
    cache = adapter(alias)
    if not (cache.can_list and cache.can_inspect and cache.codec.reversible):
        raise Unsupported(_("The values of %(alias)s cannot be listed and read.") % {"alias": alias})
    sentence = _("Look at some values of every pattern of %(alias)s.") % {"alias": alias}
    return Plan(kind=Values.name, alias=alias, params={"fast": fast}, sentence=sentence)

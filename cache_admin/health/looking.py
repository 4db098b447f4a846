"""A whole look at one alias, for the page and the command: samples, slow logs, values, the last deploy."""

from __future__ import annotations

import time
import zlib
from dataclasses import replace

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.adapters.server_info import SlowCommand
from cache_admin.exceptions import CacheAdminError, Unavailable
from cache_admin.health.facts import Facts, Tried, glance, last_deploy, left_in
from cache_admin.keyspace import comparison, reports
from cache_admin.keyspace.comparison import Comparison
from cache_admin.keyspace.report import Report
from cache_admin.models import Deploy
from cache_admin.monitoring.sampler import Reading
from cache_admin.values import compression

SLOW_ENTRIES = 32
#: How many of the largest values are tried, from how many bytes on, and how much of each is read.
TRIED, LARGE, READ = 3, 100_000, 65_536
#: A key that is asked for only to see whether a cache answers that tells nothing else.
PROBE = "cache_admin:probe"


def look(adapter: Adapter) -> Facts:
    """What can be known now. What a server refuses is said in ``notes``."""
    asked = _Asked()
    facts = Facts(adapter.alias, adapter, time.time())
    with asked:
        facts = glance(adapter)
    with asked:
        facts = replace(facts, slow=_slow(adapter, facts.reading))
    if not adapter.can_tell_server:
        with asked:
            adapter.exists(PROBE)
    deploy, compared = _deploy(adapter)
    facts = replace(facts, deploy=deploy, compared=compared)
    if adapter.can_list:
        with asked:
            report = facts.stored.report or reports.current(adapter.alias)
            facts = replace(facts, stored=replace(facts.stored, report=report, leftovers=left_in(adapter, report)))
            facts = replace(facts, tried=_try(adapter, report))
    return replace(facts, notes=tuple(dict.fromkeys(asked.notes)), unreachable=asked.unreachable)


class _Asked:
    """Goes on after what a server refuses, and remembers it."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.unreachable = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Unavailable):
            self.unreachable = self.unreachable or about(error)
        elif isinstance(error, CacheAdminError):
            self.notes.append(about(error))
        else:
            return False
        return True


def _deploy(adapter: Adapter) -> tuple[Deploy | None, Comparison | None]:
    deploy = last_deploy(time.time())
    try:
        return deploy, comparison.compare(adapter.alias, deploy) if deploy else None
    except CacheAdminError:
        return deploy, None


def _slow(adapter: Adapter, reading: Reading | None) -> dict[str, tuple[SlowCommand, ...]]:
    if reading is None or not adapter.can_tell_slow:
        return {}
    answering = (node for node in reading.nodes if node.error is None)
    return {node.server: adapter.slow_log(SLOW_ENTRIES, node.node) for node in answering}


def _try(adapter: Adapter, report: Report) -> tuple[Tried, ...]:
    """The beginnings of the largest strings, pressed by zlib at its fastest. Nothing of them is kept."""
    if not adapter.can_inspect or adapter.storage.compressor:
        return ()
    found = []
    for key in [one for one in report.large_keys if one.size >= LARGE][:TRIED]:
        value = adapter.read(key.key, limit=READ)
        if value.type == "string" and value.data and not compression.layer(value.data):
            found.append(Tried(key, len(value.data), len(value.data) / len(zlib.compress(value.data, 1))))
    return tuple(found)

"""The complete scan: every key of an alias looked at once, gently, while somebody waits for exact figures."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.exceptions import Unavailable
from cache_admin.keyspace import reports
from cache_admin.keyspace.census import Census
from cache_admin.models import Operation
from cache_admin.operations.base import Kind, Plan, Step

#: Seconds after which what was counted is written down, for another process to go on from.
_DUMP_EVERY = 10.0


class CensusKind(Kind):
    """Counts and weighs every key. Whatever ends it, what was seen is kept as a report."""

    name = "census"
    permission = "view_cache"
    changes = False

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        cache = adapter(operation.alias)
        cursor = operation.cursor
        census = Census.restore(cache, cursor) if cursor else Census(cache)
        dumped = time.monotonic()
        began_at = census.scanned
        try:
            yield Step(cursor=cursor, scanned=census.scanned - operation.scanned)
            pages = cache.walk(census.choose, cursor=census.cursor, run_id=census.run_id)
            with closing(pages):
                for page in pages:
                    census.feed(page)
                    if time.monotonic() - dumped > _DUMP_EVERY:
                        cursor, dumped = census.dump(), time.monotonic()
                    yield Step(
                        cursor=cursor,
                        scanned=census.scanned - operation.scanned,
                        total=census.total,
                        busy=page.busy,
                        slow=page.slow,
                        at_once=page.count,
                    )
        except Unavailable:
            yield Step(cursor=census.dump(), scanned=census.scanned - operation.scanned)
            raise
        finally:
            if census.scanned > began_at or census.finished:
                reports.save(census.report())


def plan(alias: str, *, fast: bool = False) -> Plan:
    """A complete scan of ``alias``, for ``runner.start``. ``fast``: without pauses for the server.

    Raises :class:`~cache_admin.exceptions.Unsupported` where keys cannot be listed.
    """
    adapter(alias).must_list()
    params: dict[str, Any] = {"fast": fast}
    return Plan(
        kind=CensusKind.name, alias=alias, params=params, sentence=_("Scan every key of %(alias)s.") % {"alias": alias}
    )

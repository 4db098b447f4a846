"""A collector for ``prometheus_client``.

Everything it tells comes from the database and from the shared readings of the servers, nothing from the memory of the
process that is asked. So any worker of a site may answer a scrape, and all answer the same. A scrape looks at no key,
and asks a server only where no process has read it for two steps.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from django.db import router
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cache_admin import conf
from cache_admin.adapters import aliases
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import reports
from cache_admin.keyspace.report import Report
from cache_admin.metrics import families
from cache_admin.metrics.families import Sheet
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import sampler, totals
from cache_admin.monitoring.database import REFUSALS, impatient, looking, refused
from cache_admin.monitoring.sampler import NodeReading

logger = logging.getLogger(__name__)

#: Patterns of a census that are told; the smaller ones go under "other".
MOST_PATTERNS = 100
#: Deploys that are told, the latest.
MOST_DEPLOYS = 5
_PATIENCE = 500  #: milliseconds to wait for a locked database


class CacheCollector(Collector):
    """Counts of the application, readings of the servers, contents and deploys, of all aliases that are shown.

    Never raises for a server or a database that is away: ``cache_admin_server_up`` and ``cache_admin_database_up`` say
    so.
    """

    def describe(self) -> Iterator[Metric]:
        """The metrics without samples, so that a registry need not look to know their names."""
        return iter(Sheet())

    def collect(self) -> Iterator[Metric]:
        sheet, known = Sheet(), aliases()
        _servers(sheet, known)
        sheet.add(families.DATABASE_UP, (), float(_stored(sheet, known)))
        settings = conf.current()
        sheet.add(families.SHARE, (), settings.RECORDING_SHARE if settings.RECORDING else 0.0)
        return iter(sheet)


def _servers(sheet: Sheet, known: Sequence[str]) -> None:
    """Each server once, whatever the number of aliases on it."""
    told: set[str] = set()
    for alias in known:
        try:
            nodes = sampler.reading(alias).nodes
        except CacheAdminError:
            continue  # it has no server, or its backend cannot be loaded
        except Exception:
            logger.exception("The servers of the cache %s could not be told.", alias)
            continue
        for node in nodes:
            name = node.node.name
            info = node.info if node.error is None else None
            if name not in told:
                told.add(name)
                _server(sheet, node, info)
            if info is not None:
                about = (alias, name, info.product, info.version, info.role, info.policy)
                sheet.add(families.INFO, about, 1.0)
                sheet.add(families.KEYS, (alias, name), info.keys)


def _server(sheet: Sheet, node: NodeReading, info: ServerInfo | None) -> None:
    labels = (node.node.name,)
    sheet.add(families.UP, labels, float(info is not None))
    if info is None:
        return
    sheet.add(families.READ_AT, labels, info.at)
    for field, gauge in families.SERVER_GAUGES.items():
        sheet.add(gauge, labels, getattr(info, field))
    # Each process takes its own looks off the hits, so which one took a reading would make the counter go up and down.
    whole = {"hits": info.probed_hits, "misses": info.probed_misses}
    for field, counter in families.SERVER_COUNTERS.items():
        value = getattr(info, field)
        sheet.add(counter, labels, None if value is None else value + whole.get(field, 0))


def _stored(sheet: Sheet, known: Sequence[str]) -> bool:
    """What stands in the database; False where it refuses."""
    using = router.db_for_read(Usage)
    try:
        with impatient(using, _PATIENCE):
            for alias, patterns in totals.read().items():
                if alias in known:
                    for pattern, counts in patterns.items():
                        for field, (counter, unit) in families.COUNTED.items():
                            sheet.add(counter, (alias, pattern), getattr(counts, field) * unit)
            for alias in known:
                if report := reports.latest(alias):
                    _contents(sheet, report)
            with looking(using):
                deploys = list(Deploy.objects.values_list("label", "at")[:MOST_DEPLOYS])
    except REFUSALS as error:
        logger.warning("The metrics lack counts and deploys: %s", refused(error))
        return False
    for label, at in dict(reversed(deploys)).items():
        sheet.add(families.DEPLOYED_AT, (label,), at)
    return True


def _contents(sheet: Sheet, report: Report) -> None:
    """The largest patterns of a stored census. Their sums are those of the census."""
    complete = "true" if report.complete else "false"
    sheet.add(families.CENSUS_AT, (report.alias, complete), report.started)
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    largest = {stats.pattern for stats in islice(report.patterns, MOST_PATTERNS)}
    for stats in (*report.patterns, *([report.other] if report.other else ())):
        sums = found[stats.pattern if stats.pattern in largest else totals.OTHER_LABEL]
        sums[0] += stats.keys.value
        sums[1] += stats.size.value
    for pattern, (keys, size) in found.items():
        labels = (report.alias, pattern, complete)
        sheet.add(families.PATTERN_KEYS, labels, keys)
        sheet.add(families.PATTERN_BYTES, labels, size if report.measured else None)

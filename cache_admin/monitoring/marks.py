"""Moments that explain a bend in a chart: a server that began anew, a deploy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.db import router
from django.db.models import Min
from django.utils.translation import gettext as _

from cache_admin.adapters.base import Adapter
from cache_admin.exceptions import CacheAdminError
from cache_admin.models import ServerSample
from cache_admin.monitoring import deploys as made
from cache_admin.monitoring.database import REFUSALS, looking
from cache_admin.monitoring.sampler import server_id
from cache_admin.monitoring.samples import SILENT

Kind = Literal["restart", "deploy"]
#: Deploys that one chart tells of, the newest.
MOST = 50


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One moment, in words that stand alone."""

    at: float  #: Unix time, seconds
    kind: Kind
    label: str


def marks(adapter: Adapter, start: float, stop: float) -> tuple[Mark, ...]:
    """All of an alias between two Unix times, oldest first; those that the database does not tell are left out."""
    return tuple(sorted([*restarts(adapter, start, stop), *deploys(start, stop)]))


def deploys(start: float, stop: float) -> tuple[Mark, ...]:
    """The deploys between two Unix times, oldest first."""
    found = [(label, at) for label, at in made.since(start) if at <= stop]
    return tuple(Mark(at, "deploy", _("deploy %(label)s") % {"label": label}) for label, at in found[-MOST:])


def restarts(adapter: Adapter, start: float, stop: float) -> tuple[Mark, ...]:
    """When another process of a server of an alias was first met. Asks no server."""
    try:
        names = {server_id(node): node.name for node in adapter.nodes()} if adapter.can_tell_server else {}
    except CacheAdminError:
        return ()
    rows = ServerSample.objects.filter(server__in=names, slot__gt=SILENT, at__gt=start, at__lte=stop)
    try:
        with looking(router.db_for_read(ServerSample)):
            met = list(rows.order_by().values_list("server", "run_id").annotate(first=Min("at")))
    except REFUSALS:
        return ()
    return tuple(_restarts(sorted(met, key=lambda row: row[2]), names))


def _restarts(met: list[tuple[str, str, float]], names: dict[str, str]) -> Iterator[Mark]:
    seen: Counter[str] = Counter()
    for server, _run, first in met:
        seen[server] += 1
        if seen[server] > 1:
            label = _("%(server)s restarted") % {"server": names[server]} if len(names) > 1 else _("server restarted")
            yield Mark(first, "restart", label)

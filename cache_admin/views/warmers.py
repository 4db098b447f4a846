"""Warmers: what each fills, how much of it is there, how its last run went; run one, a group, or the critical ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters import adapter
from cache_admin.caching.warmers import Warmer
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import coverage
from cache_admin.keyspace.report import Estimate
from cache_admin.models import Operation
from cache_admin.operations import warm, warmed
from cache_admin.operations.warmed import Outcome
from cache_admin.views.base import CacheView, is_fragment_request
from cache_admin.views.operation import StartView, progress, visible

#: Seconds after which a complete scan says too little of now.
FRESH = 600.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a warmer's keys are there. ``reason`` says why that is unknown, and is "" where it is known."""

    keys: Estimate | None = None
    of: int | None = None  #: keys it fills: those it names, else those that its last good run wrote
    reason: str = ""

    @property
    def share(self) -> float | None:
        """0 to 1; ``None`` where it is not known how many there should be."""
        return min(1.0, self.keys.value / self.of) if self.keys and self.of else None


@dataclass(frozen=True, slots=True)
class Row:
    warmer: Warmer
    last: Outcome | None
    coverage: Coverage | None  #: ``None`` before anybody looked

    @property
    def due(self) -> bool:
        """Whether its last good run is longer ago than ``every``."""
        every, last = self.warmer.every, self.last
        return bool(every and last and (last.failed or time.time() - last.at > every))


def rows(warmers: Sequence[Warmer], *, look: bool) -> list[Row]:
    """A row for each warmer, by group. Asks the caches only with ``look``, and one that fails only once."""
    known = warmed.last({warmer.name for warmer in warmers})
    failures: dict[str, str] = {}
    after = _last_change() if look else 0.0
    found = []
    for warmer in warmers:
        last, seen = known.get(warmer.name), None
        if look:
            seen, last = _look(warmer, last, after, failures)
        found.append(Row(warmer, last, seen))
    return sorted(found, key=lambda row: row.warmer.group)


def _look(
    warmer: Warmer, last: Outcome | None, after: float, failures: dict[str, str]
) -> tuple[Coverage, Outcome | None]:
    if reason := failures.get(warmer.alias):
        return Coverage(reason=reason), last
    try:
        told = warmed.remembered(warmer)
    except CacheAdminError as error:
        failures[warmer.alias] = str(error)
        return Coverage(reason=str(error)), last
    if told and (last is None or told.at > last.at + 1):
        last = told
    if not warmer.patterns:
        return Coverage(reason=_("This warmer does not say which keys it fills.")), last
    try:
        keys = coverage.present(adapter(warmer.alias), warmer.patterns, after=after)
    except CacheAdminError as error:
        return Coverage(reason=str(error)), last
    if not keys.exact and not keys.value:
        return Coverage(reason=_("The sample of this cache met none of its keys.")), last
    return Coverage(keys, _should_be(warmer, last, keys)), last


def _should_be(warmer: Warmer, last: Outcome | None, keys: Estimate) -> int | None:
    if all(coverage.exact_key(pattern) is not None for pattern in warmer.patterns):
        return len(set(warmer.patterns))
    # Others fill its patterns too where there are more keys than it wrote, so its own part is not known.
    return last.written if last and not last.failed and keys.low <= last.written else None


def _last_change() -> float:
    """Unix time from which on a report is good."""
    changes = Operation.objects.filter(kind__in=("purge", "expire", "warm"), done_keys__gt=0)
    newest = changes.order_by("-created").first()
    changed = (newest.finished or newest.created).timestamp() if newest else 0.0
    return max(changed, time.time() - FRESH)


class Warmers(CacheView):
    """The page asks no cache; its table then comes anew with what the caches say."""

    permission = "run_warmers"
    template_name = "cache_admin/warmers.html"
    fragment_name = "cache_admin/_warmers.html"
    tab = "warmers"
    title = gettext_lazy("Warmers")

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.render(self.listing())

    def listing(self) -> dict[str, Any]:
        chosen = self.request.GET.get("alias", "")
        warmers = [one for one in warm.shown() if not chosen or one.alias == chosen]
        found = rows(warmers, look=is_fragment_request(self.request))
        running = Operation.objects.filter(kind=warm.Warm.name, state=Operation.State.RUNNING).first()
        return {
            **(progress(running) if running and visible(self, running) else {}),
            "alias": "",
            "chosen": chosen,
            "warming": running,
            "groups": [(group, list(part)) for group, part in groupby(found, lambda row: row.warmer.group)],
            "critical": [warmer for warmer in warmers if warmer.critical],
            "others": len(warm.shown()) - len(warmers),
            "several": len({warmer.alias for warmer in warm.shown()}) > 1,
            "now": time.time(),
        }


class WarmersStart(StartView):
    """Runs what the button says, or leads to the run that goes on. For htmx the answer is the progress, in place."""

    permission = "run_warmers"
    tab = "warmers"
    title = gettext_lazy("Warmers")

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            plan = warm.plan(self.names())
        except warm.UnknownWarmer as error:
            return self.trouble(str(error), _("Load the page of the warmers again."))
        return self.start(plan)

    def names(self) -> list[str]:
        """What was chosen: warmers, a group, the critical ones, or those of what an operation dropped."""
        asked = self.request.POST
        if "warmer" in asked:
            return asked.getlist("warmer")
        among = [one for one in warm.shown() if not asked.get("alias") or one.alias == asked["alias"]]
        if "group" in asked:
            return [one.name for one in among if one.group == asked["group"]]
        return [one.name for one in among if one.critical and "critical" in asked]

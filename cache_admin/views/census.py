"""What the pages that read a census share: the report or the reason there is none, and the full scan."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from cache_admin import conf
from cache_admin.exceptions import CacheAdminError, Unsupported
from cache_admin.keyspace import reports
from cache_admin.keyspace.census import sample
from cache_admin.keyspace.report import Report
from cache_admin.models import Operation
from cache_admin.operations import census
from cache_admin.views.base import CacheView
from cache_admin.views.operation import StartView, progress


class CensusPage(CacheView):
    """A page over the report of one alias; without a report it says why, with status 200.

    The report is the last complete scan where there is one; ``?sample`` takes a new sample instead.
    """

    error = ""

    def report(self) -> Report | None:
        try:
            if "sample" in self.request.GET:
                return sample(self.cache, conf.current().SAMPLE_MILLISECONDS)
            return reports.current(self.cache.alias)
        except CacheAdminError as error:
            self.error = str(error)
            return None

    def about(self, report: Report | None) -> dict[str, Any]:
        """Context of the report itself: what it is worth now. A complete scan is kept, so it may have aged."""
        if report is None:
            return {"report": None, "error": self.error}
        return {
            "report": report,
            "error": "",
            "age": max(0, round(time.time() - report.started - report.seconds)),
            "changed_since": report.complete and self._changed_since(reports.ended(report)),
        }

    def _changed_since(self, moment: datetime) -> bool:
        """Whether an invalidation changed keys after a moment: one that began after it, or went on."""
        later = Q(created__gt=moment) | Q(finished__gt=moment) | Q(state=Operation.State.RUNNING)
        changes = Operation.objects.filter(later, alias=self.cache.alias, kind__in=("purge", "expire"))
        return changes.filter(done_keys__gt=0).exists()

    def fragment_context(self) -> dict[str, Any]:
        context = super().fragment_context()
        scan = Operation.objects.filter(kind="census", alias=context["alias"], state=Operation.State.RUNNING).first()
        return {**context, "scan": scan, **(progress(scan) if scan else {})}


class CensusStart(StartView):
    """Starts a scan of everything, or leads to the one that runs. For htmx the answer is the progress, in place."""

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        try:
            plan = census.plan(alias, fast="fast" in request.POST)
        except Unsupported as error:
            return self.trouble(str(error))
        return self.start(plan)

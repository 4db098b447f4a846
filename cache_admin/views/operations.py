"""Who changed what, when and why: all operations, newest first."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy

from cache_admin.models import Operation
from cache_admin.views.base import CacheView
from cache_admin.views.export import csv_response
from cache_admin.views.listing import page_of, query

FILTERS = ("alias", "kind", "username")
KINDS = {
    "census": gettext_lazy("Scan"),
    "values": gettext_lazy("Look at values"),
    "purge": gettext_lazy("Deletion"),
    "expire": gettext_lazy("Expiry over time"),
    "warm": gettext_lazy("Run of warmers"),
    "edit": gettext_lazy("Change of one key"),
    "refused": gettext_lazy("Refused"),
}
EXPORT_FIELDS = (
    *("id", "created", "finished", "username", "alias", "kind", "state", "summary", "reason"),
    *("planned_keys", "done_keys", "planned_bytes", "done_bytes", "skipped_keys", "error"),
)
EXPORT_ROWS = 10_000


class OperationList(CacheView):
    """Without ``view_audit`` a user sees the operations that he started himself."""

    tab = "operations"
    title = gettext_lazy("Operations")

    def visible(self) -> QuerySet[Operation]:
        """Every operation this user may know of."""
        rows = Operation.objects.all()
        return rows if self.allowed("view_audit") else rows.filter(user=self.request.user.pk)

    def chosen(self) -> QuerySet[Operation]:
        """Those that the query string asks for."""
        given = {name: value for name in FILTERS if (value := self.request.GET.get(name, "").replace("\0", ""))}
        rows = self.visible().filter(**given)
        if day := self.day():
            begin = datetime.combine(day, time(), timezone.get_current_timezone() if settings.USE_TZ else None)
            rows = rows.filter(created__gte=begin, created__lt=begin + timedelta(days=1))
        return rows

    def day(self) -> date | None:
        """The day of ``?date=``, or ``None`` for anything that is no day."""
        try:
            day = parse_date(self.request.GET.get("date", ""))
        except ValueError:
            return None
        return day if day and 1970 <= day.year < 9000 else None


class Operations(OperationList):
    template_name = "cache_admin/operations.html"
    fragment_name = "cache_admin/_operations.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        page = page_of(self.chosen(), request)
        return self.render(
            {
                "page": page,
                "rows": page.object_list,
                "page_query": query(request, page=None),
                "filtered": any(request.GET.get(name) for name in (*FILTERS, "date")),
            }
        )

    def page_context(self) -> dict[str, Any]:
        """What is around the table, which refreshes without it."""
        get, visible = self.request.GET, self.visible().order_by()
        today = datetime.now(timezone.get_current_timezone()).date()
        return {
            **super().page_context(),
            "filters": {name: get.get(name, "") for name in (*FILTERS, "date")},
            "choices": {name: _choices(visible, name) for name in FILTERS},
            "today": query(self.request, date=today.isoformat(), page=None),
            "yesterday": query(self.request, date=(today - timedelta(days=1)).isoformat(), page=None),
            "live": query(self.request),
        }


def _choices(rows: QuerySet[Operation], name: str) -> list[tuple[str, Any]]:
    """(value, words) of everything that occurs in a column."""
    values = rows.values_list(name, flat=True).distinct().order_by(name)
    return [(value, KINDS.get(value, value) if name == "kind" else value) for value in values]


class OperationsExport(OperationList):
    """The newest, as filtered; the name of the file says when there are more."""

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = list(self.chosen().values_list(*EXPORT_FIELDS)[: EXPORT_ROWS + 1])
        name = "operations.csv" if len(rows) <= EXPORT_ROWS else f"operations-newest-{EXPORT_ROWS}.csv"
        cells = ([cell.isoformat() if isinstance(cell, datetime) else cell for cell in row] for row in rows)
        return csv_response(name, EXPORT_FIELDS, islice(cells, EXPORT_ROWS))

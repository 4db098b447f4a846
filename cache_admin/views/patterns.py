"""What fills the cache: its patterns, one of them opened, and the table as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from cache_admin import keys
from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import public
from cache_admin.keyspace.report import Estimate, PatternStats, Report
from cache_admin.views.census import CensusPage
from cache_admin.views.export import csv_response, download
from cache_admin.views.listing import headers, page_of, query
from cache_admin.views.naming import name_of

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

SORTS: dict[str, Callable[[PatternStats], Any]] = {
    "pattern": lambda stats: stats.pattern.lower(),
    "keys": lambda stats: stats.keys.value,
    "size": lambda stats: stats.size.value,
    "mean": lambda stats: stats.mean,
    "largest": lambda stats: stats.largest,
    "no_expiry": lambda stats: stats.no_expiry.value,
}
COLUMNS: tuple[tuple[str, StrOrPromise, str], ...] = (
    ("pattern", _("Pattern"), ""),
    ("keys", _("Keys"), "ca-num ca-minor"),
    ("size", _("Memory"), "ca-num"),
    ("", _("Share"), "ca-num ca-minor"),
    ("mean", _("Mean"), "ca-num ca-minor"),
    ("largest", _("Largest"), "ca-num ca-minor"),
    ("no_expiry", _("No expiry"), "ca-num ca-minor"),
    ("", _("Expires in"), "ca-minor"),
    ("", _("Actions"), "ca-minor"),
)


class PatternTable(CensusPage):
    """The patterns that the query string asks for, in its order."""

    tab = "patterns"
    title = _("Patterns")

    @property
    def sort(self) -> str:
        sort = self.request.GET.get("sort", "")
        return sort if sort.removeprefix("-") in SORTS else "-size"

    def chosen(self, report: Report) -> list[PatternStats]:
        wanted = self.request.GET.get("q", "").strip().lower()
        rows = [
            stats
            for stats in report.patterns
            if not wanted or any(wanted in text.lower() for text in (stats.pattern, stats.title, stats.family))
        ]
        return sorted(rows, key=SORTS[self.sort.removeprefix("-")], reverse=self.sort.startswith("-"))


class Patterns(PatternTable):
    template_name = "cache_admin/patterns.html"
    fragment_name = "cache_admin/_patterns.html"

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        report = self.report()
        context: dict[str, Any] = {**self.about(report), "q": request.GET.get("q", "")}
        context["kept"] = [(name, request.GET[name]) for name in ("sort", "sample") if name in request.GET]
        if report:
            page = page_of(self.chosen(report), request)
            context |= {
                "page": page,
                "rows": page.object_list,
                "headers": headers(request, COLUMNS, self.sort),
                "page_query": query(request, page=None),
                "here": query(request, sample=None),
            }
        return self.render(context)


class Pattern(CensusPage):
    """One pattern: as a row that opens in place, or as a page to link to."""

    template_name = "cache_admin/pattern.html"
    fragment_name = "cache_admin/_pattern.html"
    tab = "patterns"
    title = _("Pattern")

    def get(self, request: HttpRequest, alias: str, template: str) -> HttpResponse:
        try:
            wanted = keys.from_token(template)
        except ValueError as error:
            raise Http404(str(error)) from error
        report = self.report()
        candidates = (*report.patterns, report.other) if report else ()
        stats = next((stats for stats in candidates if stats and stats.template == wanted), None)
        return self.render({**self.about(report), "stats": stats, "template_token": template})


class PatternsExport(PatternTable):
    """The whole table, filtered and sorted as the page it was asked from; without a report, that page says why."""

    template_name = "cache_admin/patterns.html"

    def get(self, request: HttpRequest, alias: str, kind: str) -> HttpResponse:
        if kind not in {"csv", "json"}:
            raise Http404
        report = self.report()
        if report is None:
            return self.render(self.about(None))
        name = f"patterns-{alias}-{'complete' if report.complete else 'sampled'}.{kind}"
        if kind == "csv":
            return csv_response(name, CSV_HEADER, csv_rows(self.cache, report, self.chosen(report)))
        return download("application/json", name, self.as_json(report))

    def as_json(self, report: Report) -> str:
        """As ``cache_report --json`` writes it, with the rows of the page."""
        shown = replace(report, patterns=tuple(self.chosen(report)))
        return json.dumps(public.as_json(shown, lambda raw: name_of(self.cache, raw).text), indent=1)


CSV_ESTIMATES = ("keys", "keys_share", "bytes", "bytes_share", "no_expiry")
CSV_HEADER = (
    *("pattern", "title", "family", "protected"),
    *(f"{name}{suffix}" for name in CSV_ESTIMATES for suffix in ("", "_low", "_high")),
    *("mean_bytes", "largest_bytes", "largest_key", "exact"),
)


def csv_rows(cache: Adapter, report: Report, rows: list[PatternStats]) -> Iterator[list[object]]:
    """One row per pattern, figures in full, each estimate with the ends of its 95 % interval."""
    for stats in rows:
        figures = (stats.keys, stats.keys_share, stats.size, stats.size_share, stats.no_expiry)
        yield [
            *(stats.pattern, stats.title, stats.family, stats.protected),
            *(edge for figure in figures for edge in _edges(figure)),
            *(stats.mean, stats.largest, name_of(cache, stats.largest_key).text, report.complete),
        ]


def _edges(figure: Estimate) -> tuple[float, float, float]:
    return figure.value, figure.low, figure.high

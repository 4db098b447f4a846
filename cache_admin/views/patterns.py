"""What fills the cache: its patterns, one of them opened, and the table as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from cache_admin import conf, keys
from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import growth, public
from cache_admin.keyspace.growth import Change, Point
from cache_admin.keyspace.report import Estimate, PatternStats, Report
from cache_admin.monitoring import rates
from cache_admin.monitoring.spans import span_of
from cache_admin.panels.charts import sparkline
from cache_admin.views.census import CensusPage
from cache_admin.views.export import table_response
from cache_admin.views.listing import headers, page_of, query
from cache_admin.views.naming import name_of, texts_of
from cache_admin.words import MARK

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: The span of hit rates on these pages.
LATELY = span_of("1h")
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
    ("growth", _("Growth"), "ca-num ca-minor"),
    ("mean", _("Mean"), "ca-num ca-minor ca-wide"),
    ("largest", _("Largest"), "ca-num ca-minor ca-if-room"),
    ("no_expiry", _("No expiry"), "ca-num ca-minor"),
    ("", _("Hit rate"), "ca-num ca-minor"),
    ("", _("Expires in"), "ca-minor"),
    ("", _("Actions"), "ca-minor"),
)


class PatternTable(CensusPage):
    """The patterns that the query string asks for, in its order."""

    tab = "patterns"
    title = _("Patterns")

    def asked(self) -> dict[str, Any]:
        """What the application asked of the alias lately."""
        return {
            "usage": rates.usage(self.cache.alias, LATELY),
            "approx": MARK if conf.current().RECORDING_SHARE < 1 else "",
        }

    @property
    def sort(self) -> str:
        sort = self.request.GET.get("sort", "")
        return sort if sort.removeprefix("-") in {*SORTS, "growth"} else "-size"

    def chosen(self, report: Report, changes: Mapping[str, Change]) -> list[PatternStats]:
        wanted = self.request.GET.get("q", "").strip().lower()
        rows = [
            stats
            for stats in report.patterns
            if not wanted or any(wanted in text.lower() for text in (stats.pattern, stats.title, stats.family))
        ]
        name, falling = self.sort.removeprefix("-"), self.sort.startswith("-")
        if name == "growth":
            grown = {pattern: change.difference for pattern, change in changes.items()}
            return sorted(rows, key=lambda stats: grown.get(stats.pattern, 0), reverse=falling)
        return sorted(rows, key=SORTS[name], reverse=falling)


class Patterns(PatternTable):
    template_name = "cache_admin/patterns.html"
    fragment_name = "cache_admin/_patterns.html"

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        report = self.report()
        context: dict[str, Any] = {**self.about(report), "q": request.GET.get("q", "")}
        context["kept"] = [(name, request.GET[name]) for name in ("sort", "sample") if name in request.GET]
        if report:
            changes = growth.changes(report)
            page = page_of(self.chosen(report, changes), request)
            columns = COLUMNS if changes else [column for column in COLUMNS if column[0] != "growth"]
            context |= {
                "page": page,
                "rows": [(stats, changes.get(stats.pattern)) for stats in page.object_list],
                "growing": next(iter(changes.values()), None),
                "headers": headers(request, columns, self.sort),
                "page_query": query(request, page=None),
                "here": query(request, sample=None),
                **self.asked(),
            }
        return self.render(context)


@dataclass(frozen=True, slots=True)
class Growth:
    """One pattern over days: against some days before, and as a line."""

    change: Change | None
    points: tuple[Point, ...]  #: the days kept, oldest first
    sparkline: Sequence[str]

    @classmethod
    def of(cls, report: Report, stats: PatternStats) -> Growth:
        points = growth.history(report.alias, stats.pattern)
        return cls(growth.changes(report).get(stats.pattern), points, _line(points))


def _line(points: Sequence[Point]) -> Sequence[str]:
    """Bytes by day (keys where they are not measured), with gaps for the days that nobody looked."""
    if len(points) < 2:
        return ()
    amounts = {point.day: point.size or point.keys for point in points}
    most = max(amounts.values()) or 1
    days = (points[-1].day - points[0].day).days + 1
    found = [amounts.get(points[0].day + timedelta(days=i)) for i in range(days)]
    return sparkline(tuple(None if amount is None else amount / most for amount in found))


class Pattern(PatternTable):
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
        context: dict[str, Any] = {**self.about(report), "stats": stats, "template_token": template}
        if report and stats and stats is not report.other:
            context |= {"growth": Growth.of(report, stats), **self.asked()}
        return self.render(context)


class PatternsExport(PatternTable):
    """The whole table, filtered and sorted as the page it was asked from; without a report, that page says why."""

    template_name = "cache_admin/patterns.html"

    def get(self, request: HttpRequest, alias: str, kind: str) -> HttpResponse:
        report = self.report()
        if report is None:
            return self.render(self.about(None))
        changes = growth.changes(report)
        rows = self.chosen(report, changes)
        name = f"patterns-{alias}-{'complete' if report.complete else 'sampled'}"
        cells = csv_rows(self.cache, rows, changes)
        shown = replace(report, patterns=tuple(rows))  # as ``cache_report --json`` writes it
        return table_response(
            kind, name, CSV_HEADER, cells, lambda: public.as_json(shown, texts_of(self.cache), changes)
        )


#: As the JSON calls them, see ``keyspace/public.py``.
CSV_ESTIMATES = ("keys", "keys_share", "bytes", "bytes_share", "no_expiry_share")
CSV_HEADER = (
    *("pattern", "title", "family", "protected"),
    *(f"{name}{suffix}" for name in CSV_ESTIMATES for suffix in ("", "_low", "_high")),
    *("no_expiry", "mean_bytes", "largest_bytes", "largest_key", "exact"),
    *("growth_days", "growth_keys", "growth_bytes", "growth_share", "growth_exact"),
)


def csv_rows(cache: Adapter, rows: Iterable[PatternStats], changes: Mapping[str, Change]) -> Iterator[list[object]]:
    """One row per pattern, shares in full, each estimate with the ends of its 95 % interval; growth is against
    ``growth_days`` before, and empty without a day to compare with."""
    for stats in rows:
        change = changes.get(stats.pattern)
        grown = (change.days, change.keys, change.size, change.share, change.exact) if change else (None,) * 5
        yield [
            *(stats.pattern, stats.title, stats.family, stats.protected),
            *map(round, _edges(stats.keys)),
            *_edges(stats.keys_share),
            *map(round, _edges(stats.size)),
            *_edges(stats.size_share),
            *_edges(stats.no_expiry),
            *(round(stats.no_expiry.value * stats.keys.value), stats.mean, stats.largest),
            *(name_of(cache, stats.largest_key).text, stats.keys.exact),
            *grown,
        ]


def _edges(figure: Estimate) -> tuple[float, float, float]:
    return figure.value, figure.low, figure.high

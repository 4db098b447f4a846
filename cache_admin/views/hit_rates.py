"""How often the application found what it looked for: an alias over time, its patterns, one of them opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from cache_admin import conf, keys
from cache_admin.health import facts
from cache_admin.health.worth import Doubtful, doubtful
from cache_admin.monitoring import rates
from cache_admin.monitoring.marks import Mark, marks
from cache_admin.monitoring.rates import AliasUsage, PatternUsage
from cache_admin.monitoring.spans import SPANS, Span, span_of
from cache_admin.monitoring.usage import OTHER
from cache_admin.panels import usage_charts
from cache_admin.panels.charts import sparkline
from cache_admin.patterns import display
from cache_admin.views.base import CacheView
from cache_admin.views.export import table_response
from cache_admin.views.listing import headers, page_of, query
from cache_admin.words import MARK

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

DEFAULT = "1h"  #: span of the page
SPARK_POINTS = 30
SORTS: dict[str, Callable[[PatternUsage], Any]] = {
    "pattern": lambda one: display(one.template).lower(),
    "lookups": lambda one: one.total.lookups,
    "rate": lambda one: one.total.hit_rate,
    "trend": lambda one: one.trend,
    "misses": lambda one: one.total.misses,
    "rebuild": lambda one: one.total.rebuild,
    "lost": lambda one: one.total.lost,
    "sets": lambda one: one.total.sets,
    "duplicates": lambda one: one.total.duplicates,
    "early": lambda one: one.total.early,
    "errors": lambda one: one.total.errors,
}
COLUMNS: tuple[tuple[str, StrOrPromise, str], ...] = (
    ("pattern", _("Pattern"), ""),
    ("lookups", _("Look-ups"), "ca-num ca-minor"),
    ("rate", _("Hit rate"), "ca-num"),
    ("trend", _("Trend"), "ca-minor"),
    ("misses", _("Misses"), "ca-num ca-minor"),
    ("rebuild", _("Rebuild"), "ca-num ca-minor"),
    ("lost", _("Lost time"), "ca-num ca-minor"),
    ("sets", _("Sets"), "ca-num ca-minor ca-wide"),
    ("duplicates", _("Stampedes"), "ca-num ca-minor ca-wide"),
    ("early", _("Early misses"), "ca-num ca-minor ca-wide"),
    ("errors", _("Errors"), "ca-num ca-minor ca-wide"),
)


#: By template, as of the last day, whatever the span.
Doubts = Mapping[bytes, Doubtful]


@dataclass(frozen=True, slots=True)
class Row:
    """One pattern as the table shows it."""

    one: PatternUsage
    pattern: str
    sparkline: Sequence[str]
    doubt: Doubtful | None

    @classmethod
    def of(cls, one: PatternUsage, doubts: Doubts) -> Row:
        points = sparkline(one.hit_rates_of(SPARK_POINTS))
        return cls(one, display(one.template), points, doubts.get(one.template))


class UsagePage(CacheView):
    """A page over what the application asked of one alias in the span of the query string."""

    tab = "hit_rates"
    title = _("Hit rates")

    @cached_property
    def span(self) -> Span:
        return span_of(self.request.GET.get("span", DEFAULT))

    @cached_property
    def usage(self) -> AliasUsage:
        return rates.usage(self.cache.alias, self.span)

    @cached_property
    def doubts(self) -> Doubts:
        return doubtful(facts.counts(self.cache.alias))

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        at = self.usage.at
        return marks(self.cache, at[0] - self.usage.step, at[-1])

    @property
    def estimated(self) -> bool:
        """Whether only a share of the operations is counted."""
        return conf.current().RECORDING_SHARE < 1

    def about(self) -> dict[str, Any]:
        """What every page of the kind shows."""
        return {
            "usage": self.usage,
            "span": self.span,
            "approx": MARK if self.estimated else "",
            "share": conf.current().RECORDING_SHARE,
            "off": rates.not_counted(self.cache.alias),
        }


class UsageTable(UsagePage):
    """The patterns that the query string asks for, in its order."""

    template_name = "cache_admin/hit_rates.html"
    fragment_name = "cache_admin/_hit_rates.html"

    @property
    def sort(self) -> str:
        sort = self.request.GET.get("sort", "")
        return sort if sort.removeprefix("-") in SORTS else "-lookups"

    def chosen(self) -> list[PatternUsage]:
        """Those whose figure is not known come last, whichever way it is sorted."""
        wanted = self.request.GET.get("q", "").strip().lower()
        value = SORTS[self.sort.removeprefix("-")]
        rows = [
            (value(one), one)
            for one in self.usage.patterns
            if one.template != OTHER and (not wanted or wanted in display(one.template).lower())
        ]
        known = [row for row in rows if row[0] is not None]
        known.sort(key=lambda row: row[0], reverse=self.sort.startswith("-"))
        return [one for _value, one in known] + [one for figure, one in rows if figure is None]

    def show(self) -> HttpResponse:
        """The page, or its table for htmx."""
        request = self.request
        page = page_of(self.chosen(), request)
        other = self.usage.of(OTHER)
        return self.render(
            {
                **self.about(),
                "q": request.GET.get("q", ""),
                "kept": [(name, request.GET[name]) for name in ("sort", "span") if name in request.GET],
                "spans": [(span, query(request, span=span.slug, page=None)) for span in SPANS],
                "whole": self.usage.whole,
                "charts": (
                    ("rate", _("Hit rate"), usage_charts.hit_rate(self.usage, self.marks)),
                    ("lookups", _("Look-ups"), usage_charts.lookups(self.usage, self.marks)),
                ),
                "page": page,
                "rows": [Row.of(one, self.doubts) for one in page.object_list],
                "other": Row.of(other, {}) if other else None,
                "headers": headers(request, COLUMNS, self.sort),
                "page_query": query(request, page=None),
                "span_query": f"?span={self.span.slug}",
                "page_url": self.url("hit_rates", self.cache.alias),
            }
        )


class HitRates(UsageTable):
    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        return self.show()


class HitRate(UsagePage):
    """One pattern: as a row that opens in place, or as a page to link to."""

    template_name = "cache_admin/hit_rate.html"
    fragment_name = "cache_admin/_hit_rate.html"

    def get(self, request: HttpRequest, alias: str, template: str) -> HttpResponse:
        try:
            wanted = keys.from_token(template)
        except ValueError as error:
            raise Http404(str(error)) from error
        one = self.usage.about(wanted)
        context = {**self.about(), "one": one, "pattern": display(wanted), "template_token": template}
        if one:
            context |= {
                "counted_as": display(one.template) if one.template != wanted else "",
                "chart": usage_charts.hits_and_misses(self.usage, one, self.marks),
                "doubt": self.doubts.get(one.template),
                "duplicated": one.total.duplicate_micros / 1e6,
            }
        return self.render(context)


class HitRatesExport(UsageTable):
    """The whole table, filtered and sorted as the page it was asked from; without counts, that page says why."""

    def get(self, request: HttpRequest, alias: str, kind: str) -> HttpResponse:
        if self.usage.note:
            return self.show()
        rows = list(exported(self.chosen(), self.doubts))
        cells = ([row[field] for field in FIELDS] for row in rows)
        about = {"alias": alias, "span": self.span.slug, "until": self.usage.at[-1], "step": self.usage.step}
        name = f"hit-rates-{alias}-{self.span.slug}"
        return table_response(
            kind, name, FIELDS, cells, lambda: {**about, "estimated": self.estimated, "patterns": rows}
        )


FIELDS = (
    *("pattern", "lookups", "hits", "misses", "hit_rate", "trend", "sets", "deletes", "others", "errors", "seconds"),
    *("mean_bytes", "rebuilds", "mean_rebuild_seconds", "lost_seconds", "duplicates", "duplicate_seconds", "early"),
    "doubt",
)


def exported(patterns: Iterable[PatternUsage], doubts: Doubts) -> Iterator[dict[str, object]]:
    """Figures in full: rates and trend are shares from 0 to 1, times are seconds."""
    for one in patterns:
        total = one.total
        yield {
            "pattern": display(one.template),
            **{name: getattr(total, name) for name in FIELDS if hasattr(total, name)},
            "trend": one.trend,
            "seconds": total.micros / 1e6,
            "mean_bytes": total.written,
            "mean_rebuild_seconds": total.rebuild,
            "lost_seconds": total.lost,
            "duplicate_seconds": total.duplicate_micros / 1e6,
            "doubt": doubt.doubt if (doubt := doubts.get(one.template)) else "",
        }

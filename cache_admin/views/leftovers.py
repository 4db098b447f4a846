"""What nobody will come for: values that nobody can read, keys of other versions, of no known writer, without expiry;
and the look at values that finds the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import django
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.exceptions import Unsupported
from cache_admin.keyspace import estimates, leftovers, unreadable
from cache_admin.keyspace.report import Estimate, PatternStats, Report
from cache_admin.keyspace.unreadable import PatternValues, Trouble, ValuesReport
from cache_admin.models import Operation
from cache_admin.operations import values
from cache_admin.views.census import CensusPage
from cache_admin.views.listing import query
from cache_admin.views.operation import StartView, visible

SHOWN = 25  #: rows of each table


@dataclass(frozen=True, slots=True)
class Group:
    """One table: the rows that are shown, how many more there are, and all of them added up."""

    rows: tuple[Any, ...]
    more: int
    keys: Estimate
    size: Estimate

    @classmethod
    def of(cls, rows: tuple[Any, ...]) -> Group:
        keys, size = (estimates.total([getattr(row, name) for row in rows]) for name in ("keys", "size"))
        return cls(rows[:SHOWN], max(0, len(rows) - SHOWN), keys, size)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One pattern of a look at values, with its faults in words; ``stats`` is what a report says of it now."""

    found: PatternValues
    troubles: tuple[tuple[str, Trouble], ...]
    stats: PatternStats | None


def in_words(look: ValuesReport, report: Report | None) -> Iterator[Unreadable]:
    """The patterns of a look at values that have any fault, those first whose values would run something."""
    now = {stats.template: stats for stats in report.patterns} if report else {}
    for found in sorted(look.patterns, key=lambda one: all(trouble.code != "calls" for trouble in one.troubles)):
        told = tuple((values.sentence_of(look, trouble), trouble) for trouble in found.troubles)
        yield Unreadable(found, told, now.get(found.template))


class Leftovers(CensusPage):
    template_name = "cache_admin/leftovers.html"
    fragment_name = "cache_admin/_leftovers.html"
    tab = "leftovers"
    title = gettext_lazy("Leftovers")

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        report = self.report()
        context: dict[str, Any] = {**self.about(report), "here": query(request, sample=None)}
        if report:
            found = leftovers.of(report, self.cache.codec)
            look = unreadable.latest(alias)
            context |= {
                "versions": Group.of(found.versions),
                "unknown": Group.of(found.unknown),
                "named": Group.of(found.named),
                "nobody": Group.of(found.nobody),
                "endless": Group.of(found.endless),
                "look": look,
                "other_django": look and look.django != django.__version__,
                "unreadable": list(in_words(look, report)) if look else [],
            }
        return self.render(context)

    def fragment_context(self) -> dict[str, Any]:
        context = super().fragment_context()
        running = Operation.objects.filter(kind="values", alias=context["alias"], state=Operation.State.RUNNING).first()
        known = running is not None and visible(self, running)
        return {**context, "looking": running if known else None, "looking_elsewhere": running and not known}


class ValuesStart(StartView):
    """Starts a look at values, or leads to the one that runs. For htmx the answer is the progress, in place."""

    permission = "view_values"
    tab = "leftovers"
    title = gettext_lazy("Leftovers")

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        try:
            plan = values.plan(alias)
        except Unsupported as error:
            return self.trouble(str(error))
        return self.start(plan)

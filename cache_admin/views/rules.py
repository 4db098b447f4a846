"""Invalidation rules: what becomes stale when a model changes, and what each rule did so far."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.rules import Figures, Rule, figures
from cache_admin.monitoring import tallies
from cache_admin.views.base import CacheView


@dataclass(frozen=True, slots=True)
class Row:
    rule: Rule
    model: str
    calls: str  #: dotted path of the function, "" for none
    figures: Figures

    @property
    def mean(self) -> float | None:
        """Seconds of one firing."""
        return self.figures.seconds / self.figures.fired if self.figures.fired else None


def rows(alias: str = "") -> tuple[float | None, list[Row]]:
    """Since when all processes of the site are counted, ``None`` where this one alone can be; and all rules, or those
    that drop from one alias, by model."""
    since, told = tallies.read("rules")
    found = [
        _row(rule, figures(rule) if since is None else tallies.figures_of(Figures, told.get(rule.name, {})))
        for rule in cache_invalidator.rules()
        if not alias or rule.alias == alias
    ]
    return since, sorted(found, key=lambda row: (row.model, row.rule.name))


def _row(rule: Rule, found: Figures) -> Row:
    function = rule.callback
    name = getattr(function, "__qualname__", type(function).__qualname__)
    calls = f"{getattr(function, '__module__', '')}.{name}" if function else ""
    return Row(rule, rule.model._meta.label, calls, found)


class Rules(CacheView):
    template_name = "cache_admin/rules.html"
    fragment_name = "cache_admin/_rules.html"
    tab = "rules"
    title = gettext_lazy("Rules")

    def get(self, request: HttpRequest) -> HttpResponse:
        alias = request.GET.get("alias", "")
        since, found = rows(alias)
        return self.render({"rows": found, "since": since, "chosen": alias, "now": time.time()})

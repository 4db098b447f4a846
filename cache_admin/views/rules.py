"""Invalidation rules: what becomes stale when a model changes, and what each rule did so far."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.rules import Figures, Rule, figures
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


def rows(alias: str = "") -> list[Row]:
    """All rules, or those that drop from one alias, by model."""
    found = [_row(rule) for rule in cache_invalidator.rules() if not alias or rule.alias == alias]
    return sorted(found, key=lambda row: (row.model, row.rule.name))


def _row(rule: Rule) -> Row:
    function = rule.callback
    name = getattr(function, "__qualname__", type(function).__qualname__)
    calls = f"{getattr(function, '__module__', '')}.{name}" if function else ""
    return Row(rule, rule.model._meta.label, calls, figures(rule))


class Rules(CacheView):
    template_name = "cache_admin/rules.html"
    fragment_name = "cache_admin/_rules.html"
    tab = "rules"
    title = gettext_lazy("Rules")

    def get(self, request: HttpRequest) -> HttpResponse:
        alias = request.GET.get("alias", "")
        return self.render({"rows": rows(alias), "chosen": alias, "now": time.time()})

"""The levels at which an answer may be cached, from the browser to the database, and what is known of each."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy, ngettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.caching import purging
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.levels import (
    ConditionalFigures,
    DatabaseFigures,
    conditional_figures,
    conditional_page,
    database_figures,
)
from cache_admin.caching.owners import owners
from cache_admin.exceptions import CacheAdminError
from cache_admin.monitoring import rates, sampler, tallies
from cache_admin.monitoring.rates import AliasUsage
from cache_admin.monitoring.spans import span_of
from cache_admin.views.base import CacheView, is_fragment_request
from cache_admin.views.overview import each_alias

#: What fills caches, counted in words.
_KINDS = {
    "function": ngettext_lazy("%(number)d function", "%(number)d functions", "number"),
    "statistic": ngettext_lazy("%(number)d statistic", "%(number)d statistics", "number"),
    "queryset": ngettext_lazy("%(number)d queryset", "%(number)d querysets", "number"),
    "view": ngettext_lazy("%(number)d view", "%(number)d views", "number"),
    "fragment": ngettext_lazy("%(number)d fragment", "%(number)d fragments", "number"),
    "warmer": ngettext_lazy("%(number)d warmer", "%(number)d warmers", "number"),
    "tag": ngettext_lazy("%(number)d tag", "%(number)d tags", "number"),
}
#: The span of the hit rates of the application.
LATELY = span_of("1h")
_CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"


@dataclass(frozen=True, slots=True)
class AliasFigures:
    """One alias of the application level: what the site asked of it lately, and ``info`` of its whole server."""

    alias: str
    asked: AliasUsage
    adapter: Adapter | None = None
    info: ServerInfo | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Database:
    alias: str
    figures: DatabaseFigures

    @property
    def share(self) -> float | None:
        """Look-ups answered from memory, 0 to 1."""
        hits, reads = self.figures.hits or 0, self.figures.reads or 0
        return hits / (hits + reads) if hits + reads else None


class Levels(CacheView):
    """The page asks nobody; its content loads by itself, for a server or a database may be silent."""

    template_name = "cache_admin/levels.html"
    fragment_name = "cache_admin/_levels.html"
    tab = "levels"
    title = gettext_lazy("Cache levels")

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.render()

    def fragment_context(self) -> dict[str, Any]:
        context = super().fragment_context()
        if not is_fragment_request(self.request):
            return context
        told_since, answers = tallies.read("answers")
        _since, proxies = tallies.read("proxies")
        answered = conditional_figures()
        if told_since is not None:
            answered = tallies.figures_of(ConditionalFigures, answers.get(conditional_page.__name__, {}))
        owned = owners()
        kinds = Counter(owner.kind for owner in owned)
        return context | {
            "now": time.time(),
            "answered": answered,
            "unchanged": answered.not_modified / answered.answered if answered.answered else None,
            "conditional_middleware": _CONDITIONAL in settings.MIDDLEWARE,
            "told_since": told_since,
            "purgers": [(name, _purged(name, told_since, proxies)) for name in purging.purgers.names()],
            "with_urls": sum(bool(rule.urls or rule.tags) for rule in cache_invalidator.rules()),
            "applications": [_figures(*row) for row in each_alias()],
            "kinds": [_KINDS[kind] % {"number": number} for kind, number in sorted(kinds.items()) if kind in _KINDS],
            "querysets": [(owner.name, owner.alias, owner.timeout) for owner in owned if owner.kind == "queryset"],
            "databases": [Database(alias, database_figures(alias)) for alias in connections],
        }


def _purged(name: str, since: float | None, told: tallies.ByName) -> purging.Figures:
    return purging.figures(name) if since is None else tallies.figures_of(purging.Figures, told.get(name, {}))


def _figures(alias: str, adapter: Adapter | None, problem: str) -> AliasFigures:
    asked = rates.usage(alias, LATELY)
    if adapter is None or not adapter.can_tell_server:
        return AliasFigures(alias, asked, adapter, problem=problem)
    try:
        primary = sampler.reading(alias).primary
    except CacheAdminError as error:
        return AliasFigures(alias, asked, adapter, problem=about(error))
    if primary.error:
        return AliasFigures(alias, asked, adapter, problem=about(primary.error))
    return AliasFigures(alias, asked, adapter, primary.info)

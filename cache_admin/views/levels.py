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
from cache_admin.caching.levels import DatabaseFigures, conditional_figures, database_figures
from cache_admin.caching.owners import owners
from cache_admin.exceptions import CacheAdminError
from cache_admin.monitoring import sampler
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
_CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"


@dataclass(frozen=True, slots=True)
class AliasFigures:
    """One alias of the application level; ``info`` is of its whole server."""

    alias: str
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
        answered = conditional_figures()
        owned = owners()
        kinds = Counter(owner.kind for owner in owned)
        return context | {
            "now": time.time(),
            "answered": answered,
            "unchanged": answered.not_modified / answered.answered if answered.answered else None,
            "conditional_middleware": _CONDITIONAL in settings.MIDDLEWARE,
            "purgers": [(name, purging.figures(name)) for name in purging.purgers.names()],
            "with_urls": sum(bool(rule.urls or rule.tags) for rule in cache_invalidator.rules()),
            "applications": [_figures(*row) for row in each_alias()],
            "kinds": [_KINDS[kind] % {"number": number} for kind, number in sorted(kinds.items()) if kind in _KINDS],
            "querysets": [(owner.name, owner.alias, owner.timeout) for owner in owned if owner.kind == "queryset"],
            "databases": [Database(alias, database_figures(alias)) for alias in connections],
        }


def _figures(alias: str, adapter: Adapter | None, problem: str) -> AliasFigures:
    if adapter is None or not adapter.can_tell_server:
        return AliasFigures(alias, adapter, problem=problem)
    try:
        primary = sampler.reading(alias).primary
    except CacheAdminError as error:
        return AliasFigures(alias, adapter, problem=about(error))
    if primary.error:
        return AliasFigures(alias, adapter, problem=about(primary.error))
    return AliasFigures(alias, adapter, primary.info)

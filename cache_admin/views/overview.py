"""All aliases on one page, each in a row that loads by itself, and the last operations."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.adapters import adapter, aliases
from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.exceptions import CacheAdminError
from cache_admin.models import Operation
from cache_admin.views.base import CacheView

OPERATIONS = 5


class Overview(CacheView):
    template_name = "cache_admin/overview.html"
    fragment_name = "cache_admin/_last_operations.html"
    title = gettext_lazy("Caches")

    def get(self, request: HttpRequest) -> HttpResponse:
        last = list(Operation.objects.all()[:OPERATIONS]) if self.allowed("view_audit") else []
        return self.render({"rows": each_alias(), "operations": last, "rules": cache_invalidator.rules()})


def each_alias() -> list[tuple[str, Adapter | None, str]]:
    """(alias, its adapter, why it has none) of every alias to show; asks no server."""
    rows: list[tuple[str, Adapter | None, str]] = []
    for alias in aliases():
        try:
            rows.append((alias, adapter(alias), ""))
        except CacheAdminError as error:
            rows.append((alias, None, about(error)))
    return rows

"""The largest keys that the last look at a cache met."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.views.census import CensusPage
from cache_admin.views.listing import query
from cache_admin.views.naming import name_of


class LargeKeys(CensusPage):
    template_name = "cache_admin/large_keys.html"
    fragment_name = "cache_admin/_large_keys.html"
    tab = "large_keys"
    title = gettext_lazy("Large keys")

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        report = self.report()
        rows = [(name_of(self.cache, large.key), large) for large in report.large_keys] if report else []
        largest = rows[0][1].size if rows else 0
        here = query(request, sample=None)
        return self.render({**self.about(report), "rows": rows, "largest": largest, "here": here})

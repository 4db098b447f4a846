"""Did the last deploy hurt? Every pattern before and after, and all deploys that are remembered."""

from __future__ import annotations

import time
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from cache_admin.adapters import aliases
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import comparison, windows
from cache_admin.keyspace.compared import Comparison, Row, tally
from cache_admin.keyspace.verdicts import WORSE, grade_of, in_words
from cache_admin.models import Deploy
from cache_admin.views import deploy_rows
from cache_admin.views.base import CacheView, is_fragment_request
from cache_admin.views.export import table_response
from cache_admin.views.listing import page_of, query

LISTED = 50
WINDOWS = (("15m", _("15 min")), ("1h", _("1 hour")), ("6h", _("6 hours")), ("24h", _("24 hours")))
SHOWS = {
    "worse": (_("Worse"), WORSE | {"new_endless"}),
    "grew": (_("Grew"), frozenset({"grew"})),
    "vanished": (_("Vanished"), frozenset({"vanished"})),
    "new": (_("New"), frozenset({"new", "new_endless"})),
    "better": (_("Better"), frozenset({"better", "faster"})),
}


class DeployPage(CacheView):
    """One deploy, by default the last, as the query string wants it compared."""

    tab = "deploys"
    title = _("Deploys")

    def opened(self) -> Deploy | None:
        """The deploy of ``?deploy=``, else the last one; ``None`` where none was ever marked."""
        wanted = self.request.GET.get("deploy", "")
        if not wanted:
            return Deploy.objects.first()
        found = Deploy.objects.filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 18 else None
        if found is None:
            raise Http404("No such deploy.")
        return found

    @property
    def window(self) -> str:
        wanted = self.request.GET.get("window", "")
        return wanted if wanted in windows.LENGTHS else windows.USUAL

    def compared(self, deploy: Deploy) -> list[Comparison]:
        """The aliases that the query string asks for; one that cannot be loaded is left out, the overview names it."""
        wanted, found = self.request.GET.get("alias", ""), []
        for alias in aliases():
            if wanted in ("", alias):
                try:
                    found.append(comparison.compare(alias, deploy, seconds=windows.LENGTHS[self.window]))
                except CacheAdminError:
                    continue
        return found

    def chosen(self, compared: list[Comparison]) -> list[Row]:
        """Rows of all aliases, worst first, that pass the filter."""
        wanted = self.request.GET.get("q", "").strip().lower()
        kinds = SHOWS.get(self.request.GET.get("show", ""), (None, None))[1]
        rows = (row for one in compared for row in one.rows)
        fitting = (row for row in rows if kinds is None or row.kinds & kinds)
        return sorted((row for row in fitting if wanted in row.pattern.lower()), key=lambda row: row.rank)


class Deploys(DeployPage):
    """The page asks no server; the comparison loads by itself, for a server may be silent."""

    template_name = "cache_admin/deploys.html"
    fragment_name = "cache_admin/_deploy.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        deploy = self.opened()
        context = {"deploy": deploy, "listed": list(Deploy.objects.defer("contents")[:LISTED]), "here": query(request)}
        if deploy and is_fragment_request(request):
            return self.render({**context, **self.about(deploy)})
        return self.render({**context, **self.toolbar()})

    def toolbar(self) -> dict[str, Any]:
        """What a page offers to choose."""
        get = self.request.GET
        return {
            "q": get.get("q", ""),
            "alias_chosen": get.get("alias", ""),
            "alias_options": [(alias, alias) for alias in aliases()],
            "show_chosen": get.get("show", ""),
            "show_options": [(name, label) for name, (label, _kinds) in SHOWS.items()],
            "kept": [(name, get[name]) for name in ("deploy", "window") if name in get],
            "windows": [
                (label, query(self.request, window=slug, page=None), slug == self.window) for slug, label in WINDOWS
            ],
        }

    def about(self, deploy: Deploy) -> dict[str, Any]:
        """The comparison in words and rows."""
        compared = self.compared(deploy)
        page = page_of(self.chosen(compared), self.request)
        left = [one.left for one in compared if one.left]
        found = tally((row for one in compared for row in one.rows), left)
        return {
            "compared": compared,
            "window": compared[0].window if compared else None,
            "left": left,
            "notes": [note for one in compared for note in one.notes],
            "words": in_words(found),
            "grade": grade_of(found),
            "failing": any(row.before.counts.errors or row.after.counts.errors for row in page.object_list),
            "all_counted": all(held and held.complete for one in compared for held in (one.before, one.after)),
            "counted": any(any(one.lookups) for one in compared),
            "page": page,
            "rows": page.object_list,
            "several": len(compared) > 1,
            "filtered": any(self.request.GET.get(name) for name in ("q", "show", "alias")),
            "page_query": query(self.request, page=None),
            "now": time.time(),
        }


class DeploysExport(DeployPage):
    """The whole table, as filtered."""

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        deploy = self.opened()
        compared = self.compared(deploy) if deploy else []
        rows = self.chosen(compared)
        name = f"deploy-{deploy.label if deploy else 'none'}"
        cells = map(deploy_rows.cells, rows)
        return table_response(
            kind, name, deploy_rows.HEADER, cells, lambda: deploy_rows.as_json(deploy, compared, rows)
        )

"""The page of one alias, which touches no cache, and its cards, which each do."""

from __future__ import annotations

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.panels import base as cards
from cache_admin.views.base import CacheView


class Dashboard(CacheView):
    template_name = "cache_admin/dashboard.html"
    tab = "dashboard"
    title = gettext_lazy("Dashboard")

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        shown, missing = [], dict[str, list[str]]()
        for panel in cards.all_panels():
            if not self.allowed(panel.permission):
                continue
            if reason := cards.why_disabled(panel, self.cache):
                missing.setdefault(reason, []).append(str(panel.title))
            else:
                shown.append(panel)
        return self.render({"cards": shown, "missing": missing.items()})


class Entry(CacheView):
    """Where the history of the admin site leads: to the alias that an entry is about, quoted as the admin quotes."""

    def get(self, request: HttpRequest, quoted: str) -> HttpResponse:
        return redirect(self.url("dashboard", unquote(quoted)))


class Card(CacheView):
    """The inside of one card."""

    def get(self, request: HttpRequest, alias: str, slug: str) -> HttpResponse:
        cards.discover()
        try:
            panel = cards.panels.get(slug)
        except LookupError as error:
            raise Http404(str(error)) from error
        if not self.allowed(panel.permission):
            raise PermissionDenied(_("You do not have the permission cache_admin.%s.") % panel.permission)

        def draw(card: cards.Card) -> str:
            context = {**self.fragment_context(), **(card.context or {}), "panel": panel, "card": card}
            return render_to_string("cache_admin/_card.html", context, request=request)

        return HttpResponse(cards.drawn(panel, self.cache, draw))

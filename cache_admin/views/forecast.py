"""What expires in the hour to come, and the cliffs in it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.keyspace import forecast
from cache_admin.panels.bars import Bars
from cache_admin.views.census import CensusPage
from cache_admin.views.listing import query

SHOWN = 50


class Forecast(CensusPage):
    template_name = "cache_admin/forecast.html"
    fragment_name = "cache_admin/_forecast.html"
    tab = "forecast"
    title = gettext_lazy("Expiry")

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        report = self.report()
        context = {**self.about(report), "here": query(request, sample=None)}
        if report:
            found = forecast.of(report)
            context |= {
                "forecast": found,
                "bars": Bars(found),
                "rows": [
                    (one, forecast.clock(found.start + 60 * one.fullest), one.minutes[one.fullest])
                    for one in found.patterns[:SHOWN]
                ],
                "more": max(0, len(found.patterns) - SHOWN),
            }
        return self.render(context)

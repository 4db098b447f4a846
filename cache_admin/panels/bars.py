"""A forecast as stacked bars per minute: JSON for the canvas, rows for its table twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from cache_admin.keyspace.forecast import Forecast, clock
from cache_admin.keyspace.report import Estimate

SHOWN = 5  #: patterns that get a hue, and one for all the rest


@dataclass(frozen=True, slots=True)
class Bars:
    """Keys that expire in each minute, by pattern; ``json`` is read by ``cache_admin.js``."""

    forecast: Forecast
    shown: int = SHOWN

    @property
    def labels(self) -> list[str]:
        """Names of the stacked parts; the last stands for all patterns that have none of their own."""
        named = [one.stats.pattern for one in self.forecast.patterns[: self.shown]]
        more = len(self.forecast.patterns) > self.shown
        return [*named, _("everything else")] if more else named

    @property
    def json(self) -> dict[str, Any]:
        forecast = self.forecast
        named = [[minute.value for minute in one.minutes] for one in forecast.patterns[: self.shown]]
        if len(forecast.patterns) > self.shown:
            named.append([minute.value - sum(part) for minute, *part in zip(forecast.minutes, *named, strict=True)])
        return {
            "unit": "count",
            "stacked": True,
            "labels": [clock(forecast.start + 60 * i) for i in range(len(forecast.minutes))],
            "min": 0,
            "max": None,
            "atLeast": 10,
            "legend": len(self.labels) > 1,
            "series": [
                {"label": label, "values": [round(max(0.0, value), 1) for value in values]}
                for label, values in zip(self.labels, named, strict=True)
            ],
        }

    @property
    def rows(self) -> Iterator[tuple[str, Estimate]]:
        """Moment and keys of each minute in which any expire."""
        for i, minute in enumerate(self.forecast.minutes):
            if minute.value:
                yield clock(self.forecast.start + 60 * i), minute

"""Series as a chart: JSON for the canvas, rows for its table twin, points for a sparkline."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.utils import timezone
from django.utils.formats import time_format

from cache_admin.monitoring.history import History, Series

Unit = Literal["bytes", "percent", "rate"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Values of unit "percent" are shares from 0 to 1."""

    label: str
    values: Series
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart over time; ``json`` is read by ``cache_admin.js``, ``rows`` are its table twin, newest first."""

    unit: Unit
    lines: tuple[Line, ...]
    moments: tuple[float, ...]
    marks: tuple[float, ...] = ()  #: Unix times of restarts
    top: float | None = None  #: upper end of the axis; None lets the values decide
    at_least: float = 1  #: what the axis shows in any case

    @classmethod
    def of(cls, history: History, unit: Unit, *lines: Line, top: float | None = None, at_least: float = 1) -> Chart:
        return cls(unit, lines, history.at, history.restarts, top, at_least)

    @property
    def json(self) -> dict[str, Any]:
        factor = 100 if self.unit == "percent" else 1
        return {
            "unit": self.unit,
            "labels": [_clock(moment, "H:i") for moment in self.moments],
            "min": 0,
            "max": self.top,
            "atLeast": self.at_least,
            "legend": len(self.lines) > 1,
            "marks": [self._point_of(moment) for moment in self.marks],
            "series": [
                {
                    "label": str(line.label),
                    "dashed": line.dashed,
                    "values": [None if value is None else round(value * factor, 3) for value in line.values],
                }
                for line in self.lines
            ],
        }

    @property
    def rows(self) -> Iterator[tuple[str, tuple[float | None, ...]]]:
        for i in reversed(range(len(self.moments))):
            values = tuple(line.values[i] for line in self.lines)
            if any(value is not None for value in values):
                yield _clock(self.moments[i], "H:i:s"), values

    def _point_of(self, moment: float) -> int:
        return min(bisect_left(self.moments, moment), len(self.moments) - 1)


def _clock(moment: float, pattern: str) -> str:
    return time_format(datetime.fromtimestamp(moment, tz=timezone.get_current_timezone()), pattern)


def sparkline(values: Series, *, width: int = 120, height: int = 24) -> Sequence[str]:
    """Points of SVG polylines, one per stretch without a gap; 0 is at the bottom, 1 at the top.

    A lone reading is drawn as a short dash, so that it is seen.
    """
    step = width / max(len(values) - 1, 1)
    lines: list[str] = []
    stretch: list[tuple[float, float]] = []
    for i, value in enumerate((*values, None)):
        if value is not None:
            stretch.append((i * step, height - 1 - (height - 2) * min(max(value, 0), 1)))
            continue
        if len(stretch) == 1:
            x, y = stretch[0]
            stretch = [(x - step / 2, y), (x + step / 2, y)]
        if stretch:
            lines.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in stretch))
        stretch = []
    return lines

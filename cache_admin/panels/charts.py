"""Series as a chart: JSON for the canvas, rows for its table twin, points for a sparkline."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, Literal

from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cache_admin.monitoring.history import History, Series
from cache_admin.monitoring.marks import Mark

Unit = Literal["bytes", "percent", "rate", "count"]
DAY = 86_400
TOLD = 4  #: marks that stand under a chart


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Values of unit "percent" are shares from 0 to 1."""

    label: str
    values: Series
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over time, of lines or of bars that stand on each other; ``json`` is read by ``cache_admin.js``, ``rows``
    are its table twin, newest first."""

    unit: Unit
    lines: tuple[Line, ...]
    moments: tuple[float, ...]  #: Unix times at the end of each point
    marks: tuple[Mark, ...] = ()
    top: float | None = None  #: upper end of the axis; None lets the values decide
    at_least: float = 1  #: what the axis shows in any case
    stacked: bool = False

    @classmethod
    def of(
        cls,
        history: History,
        unit: Unit,
        *lines: Line,
        top: float | None = None,
        at_least: float = 1,
        marks: Sequence[Mark] = (),
    ) -> Chart:
        """A chart of a server's history, with its restarts marked, and ``marks`` besides."""
        restarts = [Mark(moment, "restart", _("server restarted")) for moment in history.restarts]
        return cls(unit, lines, history.at, tuple(sorted([*restarts, *marks])), top, at_least)

    @property
    def json(self) -> dict[str, Any]:
        factor = 100 if self.unit == "percent" else 1
        return {
            "unit": self.unit,
            "stacked": self.stacked,
            "labels": [self._clock(moment, "H:i") for moment in self.moments],
            "min": 0,
            "max": self.top,
            "atLeast": self.at_least,
            "legend": len(self.lines) > 1,
            "marks": [
                {"at": self._point_of(mark.at), "kind": mark.kind, "label": f"{self.clock(mark.at)} {mark.label}"}
                for mark in self.marks
            ],
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
    def rows(self) -> Iterator[tuple[str, tuple[float | None, ...], list[str]]]:
        """Moment, values, and in words what happened then, of each point that knows anything."""
        marked: defaultdict[int, list[str]] = defaultdict(list)
        for mark in self.marks:
            marked[self._point_of(mark.at)].append(mark.label)
        for i in reversed(range(len(self.moments))):
            values = tuple(line.values[i] for line in self.lines)
            if i in marked or any(value is not None for value in values):
                yield self._clock(self.moments[i], "H:i:s"), values, marked.get(i, [])

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return any(value is not None for line in self.lines for value in line.values)

    @property
    def told(self) -> list[tuple[str, Mark]]:
        """The newest marks with their moments as text, newest first; the table twin has all."""
        return [(self.clock(mark.at), mark) for mark in reversed(self.marks[-TOLD:])]

    @property
    def untold(self) -> int:
        """How many older ones there are."""
        return max(0, len(self.marks) - TOLD)

    def clock(self, moment: float) -> str:
        """A moment as the axis tells it."""
        return self._clock(moment, "H:i")

    def _clock(self, moment: float, pattern: str) -> str:
        days = self.moments and self.moments[-1] - self.moments[0] > DAY - 3_600
        return _text(moment, "j M H:i" if days else pattern, timezone.get_current_timezone(), get_language())

    def _point_of(self, moment: float) -> int:
        return min(bisect_left(self.moments, moment), len(self.moments) - 1)


@lru_cache(maxsize=2_048)
def _text(moment: float, pattern: str, zone: tzinfo, language: str | None) -> str:
    """Charts of one page share their moments, and so does the same page a few seconds later."""
    local = datetime.fromtimestamp(moment, tz=zone)
    return time_format(local, pattern) if pattern.startswith("H") else date_format(local, pattern)


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

"""The spans of time that charts are of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time up to now, cut into even points."""

    slug: str  #: as it stands in a query string
    label: str | Promise
    seconds: float
    points: int
    longest_gap: float  #: seconds; readings further apart leave a gap, for the course between them is unknown

    @property
    def width(self) -> float:
        """Seconds that one point is of."""
        return self.seconds / self.points


#: Shortest first. A gap is at least twice the step at which readings of that age are kept.
SPANS: tuple[Span, ...] = (
    Span("15m", _("15 minutes"), 900.0, 45, 75.0),
    Span("1h", _("1 hour"), 3_600.0, 60, 150.0),
    Span("6h", _("6 hours"), 21_600.0, 72, 600.0),
    Span("24h", _("24 hours"), 86_400.0, 96, 1_800.0),
    Span("7d", _("7 days"), 604_800.0, 84, 7_200.0),
    Span("30d", _("30 days"), 2_592_000.0, 90, 14_400.0),
)
SHORTEST = SPANS[0]
_BY_SLUG = {span.slug: span for span in SPANS}


def span_of(slug: str | None) -> Span:
    """The span of a query string; the shortest one for whatever is none."""
    return _BY_SLUG.get(slug or "", SHORTEST)

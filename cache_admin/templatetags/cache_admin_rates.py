"""Trends of hit rates, and what the application asked about a pattern of another count."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from cache_admin.monitoring.rates import AliasUsage, PatternUsage
from cache_admin.templatetags.cache_admin import exactly, percent

register = template.Library()

#: Differences of hit rates that are a trend, and those that are bad news.
STEADY, SHARP = 0.005, 0.05


@dataclass(frozen=True, slots=True)
class Trend:
    """A trend with an arrow, a sign and a word; ``level`` is that of a verdict, ``title`` its evidence."""

    arrow: str
    text: str
    level: str
    title: str


@register.filter
def trend(one: PatternUsage) -> Trend | None:
    """The later half of the span against the earlier one, in percentage points; ``None`` where either is not known."""
    before, after = one.halves
    if before.hit_rate is None or after.hit_rate is None:
        return None
    change = after.hit_rate - before.hit_rate
    title = _("earlier half %(earlier)s of %(first)s look-ups, later half %(later)s of %(second)s") % {
        "earlier": percent(before.hit_rate),
        "first": exactly(before.lookups),
        "later": percent(after.hit_rate),
        "second": exactly(after.lookups),
    }
    number = number_format(abs(round(change * 100, 1)), decimal_pos=1)
    if abs(change) < STEADY:
        return Trend("→", _("±%(number)s points, steady") % {"number": number}, "", title)
    if change > 0:
        return Trend("↑", _("+%(number)s points, better") % {"number": number}, "good", title)
    text = _("−%(number)s points, worse") % {"number": number}  # noqa: RUF001
    return Trend("↓", text, "bad" if change <= -SHARP else "warn", title)


@register.filter
def asked(usage: AliasUsage | None, pattern: bytes) -> PatternUsage | None:
    """What the application asked about a pattern that a census found."""
    return usage.about(pattern) if usage else None


@register.filter
def per_second(number: float, usage: AliasUsage) -> float | None:
    """A count of the whole span as so many per second, from the first point that knows anything."""
    first = next((i for i, row in enumerate(usage.whole.points) if row is not None), None)
    return None if first is None else number / max(1.0, sum(usage.seconds[first:]))

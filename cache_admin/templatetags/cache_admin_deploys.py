"""Differences between two figures, for the page Deploys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import template
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cache_admin import keys
from cache_admin.keyspace.compared import Left
from cache_admin.keyspace.judging import points
from cache_admin.keyspace.report import Estimate
from cache_admin.keyspace.verdicts import in_words
from cache_admin.templatetags.cache_admin import Figure, _ttl_labels, _value, count, duration, mark, percent, size
from cache_admin.words import MARK

register = template.Library()
_WORDS: dict[str, Callable[[Any], str]] = {"count": count, "size": size, "percent": percent, "duration": duration}
_SIGN = {True: "+", False: "\N{MINUS SIGN}"}


@register.simple_tag
def difference(before: Figure, after: Figure, unit: str) -> str:
    """What came in addition: "-38 points" for shares ("points"), "+1.2 k" ("count"), "+3.1 MB" ("size"), "+40 ms"
    ("duration"); "" where nothing came, where one of them is not known, and for estimates that may be equal."""
    one, other = _value(before), _value(after)
    if one is None or other is None or one == other or _overlap(before, after):
        return ""
    if unit == "points":
        return _("%(points)s points") % {"points": points(other - one)}
    more, amount = other > one, abs(other - one)
    if unit == "duration" and amount < 0.00005:
        return ""
    return f"{_SIGN[more]}{_WORDS[unit](amount)}"


def _overlap(before: Figure, after: Figure) -> bool:
    if not (isinstance(before, Estimate) and isinstance(after, Estimate)):
        return False
    if before.exact and after.exact:
        return False
    return before.low <= after.high and after.low <= before.high


@register.filter
def figure(value: Figure, unit: str) -> str:
    """One figure, marked if it is an estimate; unit "count", "size", "percent" or "duration". "—" for unknown."""
    if value is None:
        return "—"
    text = _WORDS[unit](value)
    return text if text == "—" else f"{mark(value)}{text}"


@register.filter
def reads_like(text: str, other: str) -> bool:
    """Whether two figures differ in nothing but that one of them is an estimate."""
    return text.removeprefix(MARK) == other.removeprefix(MARK)


@register.filter
def bucket(number: int | None) -> str:
    """The name of an expiry bucket: "10 min to 1 h"."""
    return "" if number is None else _ttl_labels(get_language())[number]


@register.filter
def tally_words(found: dict[str, int]) -> str:
    """Counts of verdicts in words."""
    return in_words(found)


@register.filter
def version_words(left: Left) -> str:
    """Whose keys were left: "version 1", or the prefix they have."""
    if left.version is None:
        return _("the prefix %(prefix)s") % {"prefix": keys.show(left.head)}
    return _("version %(number)d") % {"number": left.version}

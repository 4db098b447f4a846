"""Figures, keys and links for the templates. Text only: markup stays in templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from cache_admin import keys
from cache_admin.adapters.base import Adapter
from cache_admin.keyspace.growth import Change
from cache_admin.keyspace.report import TTL_EDGES, Estimate, PatternStats
from cache_admin.views.naming import Name, name_of
from cache_admin.words import MARK, marked

register = template.Library()
#: Characters of a pattern between two stars that are shown.
LONGEST_TEXT = 96
_PIECE = re.compile(r"[^:./]*[:./]+|[^:./]+")
Figure = float | Estimate | None


def numeral(value: float, places: int = 0) -> str:
    """With the separators of the active language; in groups of thousands where it is a whole number."""
    return _numeral(value, places, get_language())


@lru_cache(maxsize=4_096)
def _numeral(value: float, places: int, language: str | None) -> str:
    """A page has hundreds of figures, and most of them a few seconds later again."""
    return str(formats.number_format(value, decimal_pos=places, force_grouping=not places))


def _value(figure: Figure) -> float | None:
    return figure.value if isinstance(figure, Estimate) else figure


@register.filter
def mark(figure: Figure) -> str:
    """ "≈" before an estimate, nothing before an exact figure."""
    return MARK if isinstance(figure, Estimate) and not figure.exact and not figure.unknown else ""


@register.filter
def size(figure: Figure) -> str:
    """Bytes with a unit: "12.4 MB"; an em dash for unknown."""
    value = _value(figure)
    return "—" if value is None else filesizeformat(round(value))


@register.filter
def grown(change: Change, measured: bool) -> str:
    """What a pattern gained or lost, with its sign: "+1.2 MB", "-40 keys", "±0"."""
    difference = change.difference
    if not difference:
        return "±0"
    amount = size(abs(difference)) if measured else count(abs(difference))
    return marked(f"{'+' if difference > 0 else '−'}{amount}", exact=change.exact)  # noqa: RUF001


@register.filter
def count(figure: Figure) -> str:
    """A number people can read at a glance: "812", "3.1 k", "41.2 k", "1.2 M"."""
    value = _value(figure)
    if value is None:
        return "—"
    for limit, divisor, unit in ((9_999.5, 1, ""), (999_950, 1e3, "k"), (999.95e6, 1e6, "M")):
        if value < limit:
            return _with_unit(value / divisor, unit)
    return _with_unit(value / 1e9, "G")


def _with_unit(value: float, unit: str) -> str:
    if not unit:
        return numeral(round(value))
    return f"{numeral(round(value, 1), 1)}\u00a0{unit}"


@register.filter
def rate(figure: Figure) -> str:
    """So many per second: "0/s", "3.2/s", "1.2 k/s"; an em dash for unknown."""
    value = _value(figure)
    if value is None:
        return "—"
    if 0 < value < 0.05:
        return _("under 0.1/s")
    text = numeral(value, 1) if 0 < value < 9.95 else count(value)
    return _("%(number)s/s") % {"number": text}


@register.filter
def in_unit(value: float | None, unit: str) -> str:
    """A figure of a chart in the unit of its axis."""
    return {"bytes": size, "percent": percent, "count": count, "rate": rate}[unit](value)


@register.filter
def exactly(figure: Figure) -> str:
    """The figure in full for a title: "41,233", or "41,233 (40,102 to 42,364)" for an estimate."""
    value = _value(figure)
    if value is None:
        return ""
    text = numeral(round(value))
    if isinstance(figure, Estimate) and not figure.exact:
        low, high = (numeral(round(edge)) for edge in (figure.low, figure.high))
        return _("%(value)s (95%% interval: %(low)s to %(high)s)") % {"value": text, "low": low, "high": high}
    return text


@register.filter
def percent(share: Figure) -> str:
    """A share from 0 to 1 as "94.2 %"; what is not 0 or 100 never rounds to it. An em dash for unknown."""
    value = _value(share)
    if value is None or (isinstance(share, Estimate) and share.unknown):
        return "—"
    shown = value * 100
    if 0 < shown < 0.05:
        return _("under 0.1\u00a0%")
    if 99.95 <= shown < 100:
        return _("over 99.9\u00a0%")
    return f"{numeral(round(shown, 1), 0 if shown in (0, 100) else 1)}\u00a0%"


@register.filter
def percent_interval(share: Figure) -> str:
    """ "92.0 % to 95.1 %" for the title of an estimated share."""
    if not isinstance(share, Estimate) or share.exact:
        return percent(share)
    if share.unknown:
        return _("not looked at in this sample")
    return _("95%% interval: %(low)s to %(high)s") % {"low": percent(share.low), "high": percent(share.high)}


@register.filter
def seconds(value: float | None) -> str:
    """A length of time in its two largest units: "3 d 4 h", "12 min", "0.4 s"; an em dash for none."""
    if value is None:
        return "—"
    if value < 10:
        return f"{numeral(round(value, 1), 0 if value == int(value) else 1)}\u00a0{_('s')}"
    parts = []
    rest = int(value)
    for unit, length in ((_("d"), 86_400), (_("h"), 3_600), (_("min"), 60), (_("s"), 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number}\u00a0{unit}")
        if len(parts) == 2 or (parts and not number):
            break
    return " ".join(parts)


@register.filter
def duration(value: float) -> str:
    """How long a call took: "0.4 ms", "23 ms", "1.2 s", and longer ones as :func:`seconds`."""
    if value >= 1:
        return seconds(value)
    return f"{numeral(round(value * 1000, 1), 1 if value < 0.01 else 0)}\u00a0{_('ms')}"


@register.filter
def age(unix_time: float, now: float) -> float:
    """Seconds from a moment to ``now``, both in Unix time; 0 for one to come."""
    return max(0.0, now - unix_time)


@register.filter
def share_width(share: float) -> str:
    """A share from 0 to 1 as a length for SVG, never localised: "31.25%"."""
    return f"{share:.2%}"


@register.filter
def moment(unix_time: float | None) -> datetime | None:
    """Unix seconds as an aware datetime, for ``date`` and ``timesince``."""
    return None if unix_time is None else datetime.fromtimestamp(unix_time, tz=timezone.get_current_timezone())


@register.filter
def shown(raw: bytes) -> str:
    """A raw or user key as text, see ``keys.show``; the empty key as "(empty)"."""
    return keys.show(raw) or _("(empty)")


@register.filter
def cut(text: str, length: int = 72) -> str:
    """Cut in the middle, where keys differ least."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


@register.filter
def backend(adapter: Adapter | None) -> str:
    """What kind of cache this is, in words, or the name of its class."""
    return "" if adapter is None else adapter.label or type(adapter.cache).__name__


@register.filter
def key_token(raw: bytes) -> str:
    """The key as a URL segment."""
    return keys.token(raw)


@register.filter
def pattern_parts(display: str) -> list[tuple[str, bool]]:
    """A pattern in pieces (text, whether it is the variable star), so that a template can tell them apart, and may
    break the line behind each; long texts are cut."""
    parts: list[tuple[str, bool]] = []
    text, i = "", 0
    while i < len(display):
        if display[i] == "\\":
            text, i = text + display[i : i + 2], i + 2
        elif display[i] == "*":
            parts += [*_pieces(text), ("*", True)]
            text, i = "", i + 1
        else:
            text, i = text + display[i], i + 1
    return [*parts, *_pieces(text)]


def _pieces(text: str) -> list[tuple[str, bool]]:
    return [(piece, False) for piece in pieces(cut(text, LONGEST_TEXT))]


@register.filter
def pieces(text: str) -> list[str]:
    """A name in pieces, each up to a separator, where a line may end."""
    return _PIECE.findall(text)


@register.filter
def keys_in_words(figure: Figure) -> str:
    """ "1 key", "41,233 keys" """
    value = round(_value(figure) or 0)
    return ngettext("%(number)s key", "%(number)s keys", value) % {"number": numeral(value)}


@register.simple_tag(takes_context=True)
def cache_url(context: dict[str, Any], name: str, *args: Any) -> str:
    """URL of a page of this package on the admin site that renders: ``{% cache_url "patterns" alias %}``."""
    site = context.get("site_name", "admin")
    return reverse(f"{site}:cache_admin_{name}", args=args, current_app=site)


@register.filter
def named(raw: bytes, adapter: Adapter) -> Name:
    """The name of a raw key of an adapter's alias, masked where it is a secret."""
    return name_of(adapter, raw)


@register.filter
def ttl_shares(stats: PatternStats) -> list[tuple[str, float]]:
    """The expiry histogram: label and share of each bucket, shortest first; the last is "never"."""
    return list(zip(_ttl_labels(get_language()), (*stats.ttl_buckets, stats.no_expiry.value), strict=True))


@lru_cache(maxsize=8)
def _ttl_labels(language: str | None) -> tuple[str, ...]:
    """Labels of the buckets; ``language`` is the active one, which they are written in."""
    edges = [seconds(edge) for edge in TTL_EDGES]
    between = [_("%(low)s to %(high)s") % {"low": low, "high": high} for low, high in pairwise(edges)]
    return (_("under %s") % edges[0], *between, _("over %s") % edges[-1], _("never"))


@dataclass(frozen=True, slots=True)
class TtlChart:
    """The expiry histogram, drawn in 74 by 17 units."""

    text: str  #: its bars in words
    bars: str  #: SVG path of the bars but the last
    never: str  #: SVG path of the last


@register.filter
def ttl_chart(stats: PatternStats) -> TtlChart:
    """The expiry histogram as a picture; a share that is not 0 has at least one unit of height."""
    shares = ttl_shares(stats)
    paths = []
    for i, (_label, share) in enumerate(shares):
        height = max(1, round(share * 16)) if share else 0
        paths.append(f"M{i * 9 + 2 * (i == len(shares) - 1)} 17v-{height}h8v{height}z" if height else "")
    text = ", ".join(f"{label}: {percent(share)}" for label, share in shares if share)
    return TtlChart(text or _("not looked at in this sample"), "".join(paths[:-1]), paths[-1])

"""Figures in the sentences of findings, beside those of :mod:`cache_admin.words`."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format, number_format, time_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin import words
from cache_admin.keyspace.report import Estimate, Report

_UNITS = ((86_400, gettext_lazy("d")), (3_600, gettext_lazy("h")), (60, gettext_lazy("min")))


def percent(share: float) -> str:
    """ "42 %", "0.4 %"."""
    shown = share * 100
    return f"{number_format(shown, decimal_pos=1 if 0 < shown < 10 else 0)}\u00a0%"


def duration(seconds: float) -> str:
    """ "12 ms", "3.4 s", "5 min", "2 h", "3 d"."""
    if seconds < 1:
        return f"{number_format(seconds * 1000, decimal_pos=0)}\u00a0{_('ms')}"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{number_format(seconds / size, decimal_pos=0)}\u00a0{unit}"
    return f"{number_format(seconds, decimal_pos=0 if seconds >= 10 else 1)}\u00a0{_('s')}"


def rate(number: float) -> str:
    """A rate without its unit: "0.4", "120"."""
    return str(number_format(number, decimal_pos=0 if number >= 10 else 1, force_grouping=True))


def keys(figure: Estimate) -> str:
    """ "41,233 keys", "≈ 41,233 keys"."""
    return words.keys(figure.value, exact=figure.exact)


def size(figure: Estimate) -> str:
    """ "12.4 MB", "≈ 12.4 MB"."""
    return words.size(figure.value, exact=figure.exact)


def moment(at: float, now: float) -> str:
    """ "at 14:02:10", "on 3 May at 14:02"."""
    local = datetime.fromtimestamp(at, tz=timezone.get_current_timezone())
    if now - at < 43_200:
        return _("at %(time)s") % {"time": time_format(local, "H:i:s")}
    return _("on %(day)s at %(time)s") % {"day": date_format(local, "j F"), "time": time_format(local, "H:i")}


def counted(number: float, share: float) -> str:
    """ "41,233"; "≈ 41,233" where only a ``share`` of the operations is counted."""
    return words.number(number, exact=share == 1)


def marked(share: float, *, exact: bool) -> str:
    """ "42 %", "≈ 42 %"."""
    return words.marked(percent(share), exact=exact)


def looked(report: Report) -> str:
    """What a report stands on: "all 1,203 keys looked at", "sampled 5,000 of 120,000 keys"."""
    if report.complete:
        return _("all %(total)s looked at") % {"total": words.keys(report.total)}
    figures = {"scanned": words.number(report.scanned), "total": words.number(report.total)}
    return _("sampled %(scanned)s of %(total)s keys") % figures

"""What fills it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import reports
from cache_admin.keyspace.report import Estimate, Report
from cache_admin.panels.base import Panel, register

SHOWN = 5  #: and one hue for all the rest


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the stacked bar. ``x`` and ``width`` are per cent of the bar, as SVG attributes take them."""

    name: str
    pattern: bool  #: whether ``name`` is a pattern or words
    amount: Estimate  #: bytes, or keys where bytes cannot be measured
    share: Estimate
    x: str
    width: str
    hue: int


@register
class TopPatterns(Panel):
    title: ClassVar[Any] = gettext_lazy("What fills it")
    position: ClassVar[int] = 40
    columns: ClassVar[Any] = "2"
    live: ClassVar[bool] = False
    requires: ClassVar[str] = "can_list"
    link: ClassVar[str] = "patterns"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        report = reports.current(adapter.alias)
        return {"report": report, "parts": parts(report)}


def parts(report: Report) -> list[Part]:
    """The largest patterns and the rest, side by side."""
    found: list[Part] = []
    x = 0.0
    for stats in report.patterns[:SHOWN]:
        amount, share = (stats.size, stats.size_share) if report.measured else (stats.keys, stats.keys_share)
        found.append(_part(stats.pattern, amount, share, x, len(found) + 1))
        x += share.value
    rest = [*report.patterns[SHOWN:], *([report.other] if report.other else [])]
    if (rest or not report.complete) and x < 0.9999:
        total = report.own_size if report.measured else report.own_keys
        exact = report.complete
        amount = Estimate(*((total.value * (1 - x),) * 3), exact)
        found.append(_part("", amount, Estimate(*((1 - x,) * 3), exact), x, SHOWN + 1))
    return found


def _part(name: str, amount: Estimate, share: Estimate, x: float, hue: int) -> Part:
    return Part(
        name or _("everything else"), bool(name), amount, share, f"{x * 100:.2f}%", f"{share.value * 100:.2f}%", hue
    )

"""What expires next, and does much of it expire at once?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import forecast, reports
from cache_admin.panels.bars import Bars
from cache_admin.panels.base import Panel, register


@register
class Expiring(Panel):
    title: ClassVar[Any] = gettext_lazy("Expiring next")
    position: ClassVar[int] = 72
    columns: ClassVar[Any] = "2"
    live: ClassVar[bool] = False
    requires: ClassVar[str] = "can_list"
    link: ClassVar[str] = "forecast"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        report = reports.current(adapter.alias)
        found = forecast.of(report)
        return {"report": report, "forecast": found, "bars": Bars(found, shown=0)}

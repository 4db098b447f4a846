"""What one alias holds, in its row of the overview: how many keys, and the largest pattern."""

from __future__ import annotations

from typing import Any, ClassVar

from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import reports
from cache_admin.panels.base import Panel, register


@register
class Contents(Panel):
    place: ClassVar[Any] = "overview"
    live: ClassVar[bool] = False
    requires: ClassVar[str] = "can_list"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        report = reports.current(adapter.alias)
        return {"report": report, "top": report.patterns[0] if report.patterns else None}

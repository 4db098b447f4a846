"""Which single keys are large?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import reports
from cache_admin.panels.base import Panel, register

SHOWN = 8


@register
class LargeKeys(Panel):
    title: ClassVar[Any] = _("Large keys")
    position: ClassVar[int] = 60
    columns: ClassVar[Any] = "2"
    live: ClassVar[bool] = False
    requires: ClassVar[str] = "can_measure"
    link: ClassVar[str] = "large_keys"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        report = reports.current(adapter.alias)
        return {"report": report, "rows": report.large_keys[:SHOWN]}

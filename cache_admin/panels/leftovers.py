"""What of it does nobody need?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.keyspace import estimates, leftovers, reports, unreadable
from cache_admin.panels.base import Panel, register


@register
class Leftovers(Panel):
    title: ClassVar[Any] = gettext_lazy("Leftovers")
    position: ClassVar[int] = 74
    live: ClassVar[bool] = False
    requires: ClassVar[str] = "can_list"
    link: ClassVar[str] = "leftovers"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        report = reports.current(adapter.alias)
        found = leftovers.of(report, adapter.codec)
        return {
            "report": report,
            "look": unreadable.latest(adapter.alias),
            "strays": estimates.total([one.keys for one in (*found.versions, *found.unknown)]),
            "nobody": estimates.total([stats.keys for stats in found.nobody]),
            "endless": estimates.total([one.keys for one in found.endless]),
        }

"""How full is it?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.server_info import ServerInfo
from cache_admin.monitoring.history import History
from cache_admin.panels.base import register
from cache_admin.panels.charts import Chart, Line
from cache_admin.panels.servers import ServerPanel

#: Below this share of the limit the chart leaves the limit out, or the course of the memory would be a flat line.
LIMIT_IN_SIGHT = 0.4


@register
class Memory(ServerPanel):
    title: ClassVar[Any] = gettext_lazy("Memory")
    position: ClassVar[int] = 20

    def figures(self, info: ServerInfo, history: History) -> dict[str, Any]:
        limit, share = info.memory_limit, info.memory_share
        lines = [Line(_("Used"), history.memory)]
        if limit and share is not None and share >= LIMIT_IN_SIGHT:
            lines.append(Line(_("Limit"), (float(limit),) * len(history.at), dashed=True))
        return {"chart": Chart.of(history, "bytes", *lines, at_least=info.memory or 1)}

"""How busy is it?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.server_info import ServerInfo
from cache_admin.monitoring.history import History
from cache_admin.panels.base import register
from cache_admin.panels.charts import Chart, Line
from cache_admin.panels.servers import ServerPanel


@register
class OperationsPerSecond(ServerPanel):
    title: ClassVar[Any] = gettext_lazy("Operations per second")
    position: ClassVar[int] = 50

    def figures(self, info: ServerInfo, history: History) -> dict[str, Any]:
        return {"chart": Chart.of(history, "rate", Line(_("Operations"), history.operations))}

"""Is it worth having?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.monitoring import marks, rates
from cache_admin.monitoring.history import History
from cache_admin.monitoring.spans import SHORTEST
from cache_admin.panels.base import register
from cache_admin.panels.charts import Chart, Line
from cache_admin.panels.servers import ServerPanel


@register
class HitRate(ServerPanel):
    title: ClassVar[Any] = gettext_lazy("Hit rate")
    position: ClassVar[int] = 30

    def context(self, adapter: Adapter) -> dict[str, Any]:
        return {**super().context(adapter), "asked": rates.usage(adapter.alias, SHORTEST).total}

    def figures(self, info: ServerInfo, history: History) -> dict[str, Any]:
        line = Line(_("Hit rate"), history.hit_rate)
        made = marks.deploys(history.at[0], history.at[-1])
        return {"chart": Chart.of(history, "percent", line, top=100, marks=made)}

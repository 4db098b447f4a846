"""One alias in one row: is it up, how full, how good?"""

from __future__ import annotations

from typing import Any, ClassVar

from cache_admin.adapters.base import Adapter
from cache_admin.monitoring import findings, sampler
from cache_admin.monitoring import history as histories
from cache_admin.panels.base import Panel, register
from cache_admin.panels.charts import sparkline
from cache_admin.panels.hit_rate import lifetime_hit_rate


@register
class Summary(Panel):
    place: ClassVar[Any] = "overview"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        if not adapter.can_tell_server:
            return {"info": None}
        reading = sampler.reading(adapter.alias)
        history = histories.series(reading)
        primary = reading.primary
        info = primary.info
        context: dict[str, Any] = {
            "info": info,
            "silent": primary.error is not None,
            "verdict": findings.verdict(reading, history),
            "history": history,
        }
        if info is None:
            return context
        share = info.memory / info.memory_limit if info.memory is not None and info.memory_limit else None
        return {
            **context,
            "share": share,
            "percent": round((share or 0) * 100),
            "lifetime": lifetime_hit_rate(info),
            "sparkline": sparkline(history.hit_rate),
        }

"""One alias in one row: is it up, how full, how good?"""

from __future__ import annotations

from typing import Any, ClassVar

from cache_admin.adapters.base import Adapter
from cache_admin.health import checking
from cache_admin.monitoring import history as histories
from cache_admin.monitoring import rates, sampler
from cache_admin.monitoring.spans import SHORTEST
from cache_admin.panels.base import Panel, register
from cache_admin.panels.charts import sparkline


@register
class Summary(Panel):
    place: ClassVar[Any] = "overview"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        asked = rates.usage(adapter.alias, SHORTEST).total
        if not adapter.can_tell_server:
            verdict = checking.glance(adapter).verdict
            return {"info": None, "asked": asked, "verdict": None if verdict.level == "good" else verdict}
        reading = sampler.reading(adapter.alias)
        history = histories.series(reading)
        primary = reading.primary
        info = primary.info
        health = checking.glance(adapter, reading, history)
        context: dict[str, Any] = {
            "info": info,
            "asked": asked,
            "silent": primary.error is not None,
            "verdict": health.verdict,
            "slow": health.slow,
            "history": history,
        }
        if info is None:
            return context
        return {
            **context,
            "percent": round((info.memory_share or 0) * 100),
            "sparkline": sparkline(history.hit_rate),
        }

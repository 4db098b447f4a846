"""The verdict on an alias, beside its name."""

from __future__ import annotations

from typing import Any, ClassVar

from cache_admin.adapters.base import Adapter
from cache_admin.health import checking
from cache_admin.monitoring import history as histories
from cache_admin.monitoring import sampler
from cache_admin.panels.base import Panel, register


@register
class Headline(Panel):
    place: ClassVar[Any] = "head"
    requires: ClassVar[str] = "can_tell_server"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        reading = sampler.reading(adapter.alias)
        health = checking.glance(adapter, reading, histories.series(reading))
        return {"reading": reading, "verdict": health.verdict, "slow": health.slow}

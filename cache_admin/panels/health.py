"""What is wrong with it?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from cache_admin.adapters.base import Adapter
from cache_admin.health import checking
from cache_admin.panels.base import Panel, register

SHOWN = 3


@register
class Health(Panel):
    """The worst findings, less the muted ones; a silent server is one of them."""

    title: ClassVar[Any] = _("Health")
    position: ClassVar[int] = 5
    link: ClassVar[str] = "health"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        health = checking.glance(adapter)
        return {"health": health, "worst": health.findings[:SHOWN], "more": len(health.findings[SHOWN:]) + health.more}

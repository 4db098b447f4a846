"""Is it up, what is it, and what is wrong with it?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from cache_admin.adapters.base import Adapter
from cache_admin.monitoring.findings import findings
from cache_admin.panels.base import register
from cache_admin.panels.servers import ServerPanel


@register
class Server(ServerPanel):
    title: ClassVar[Any] = _("Server")
    position: ClassVar[int] = 10

    def context(self, adapter: Adapter) -> dict[str, Any]:
        context = super().context(adapter)
        return {**context, "findings": findings(context["reading"], context["history"])[:3]}

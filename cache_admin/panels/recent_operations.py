"""Who changed what last?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from cache_admin.adapters.base import Adapter
from cache_admin.models import Operation
from cache_admin.panels.base import Panel, register

SHOWN = 5


@register
class RecentOperations(Panel):
    title: ClassVar[Any] = _("Recent operations")
    position: ClassVar[int] = 80
    columns: ClassVar[Any] = "2"
    permission: ClassVar[str] = "view_audit"
    link: ClassVar[str] = "operations"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        return {"operations": list(Operation.objects.filter(alias=adapter.alias)[:SHOWN])}

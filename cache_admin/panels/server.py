"""Is it up, and what is it?"""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from cache_admin.panels.base import register
from cache_admin.panels.servers import ServerPanel


@register
class Server(ServerPanel):
    title: ClassVar[Any] = _("Server")
    position: ClassVar[int] = 10

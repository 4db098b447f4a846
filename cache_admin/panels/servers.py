"""What the cards about a server share: its reading, its history, and what happens when it is silent."""

from __future__ import annotations

from typing import Any, ClassVar

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.monitoring import history as histories
from cache_admin.monitoring import sampler
from cache_admin.monitoring.history import History
from cache_admin.panels.base import Panel


class ServerPanel(Panel):
    """A card about the primary server of an alias. A silent one is shown by its last good reading."""

    requires: ClassVar[str] = "can_tell_server"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        reading = sampler.reading(adapter.alias)
        primary = reading.primary
        if primary.info is None:
            assert primary.error is not None  # noqa: S101
            raise primary.error
        history = histories.series(reading)
        return {
            "reading": reading,
            "info": primary.info,
            "history": history,
            "stale": about(primary.error) if primary.error else "",
            **self.figures(primary.info, history),
        }

    def figures(self, info: ServerInfo, history: History) -> dict[str, Any]:
        """What this card adds."""
        return {}

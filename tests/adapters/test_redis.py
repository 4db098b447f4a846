from __future__ import annotations

from cache_admin.adapters.base import Adapter, Storage

from .contract import ServerContract


class TestRedisCache(ServerContract):
    alias = "core"

    def test_knows_how_values_are_written(self, it: Adapter) -> None:
        assert it.storage == Storage("pickle")

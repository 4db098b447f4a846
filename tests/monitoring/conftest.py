"""Readings made up for pure tests, and a process that remembers no reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cache_admin.adapters import servers
from cache_admin.adapters.server_info import Node, ServerInfo
from cache_admin.monitoring import sampler
from cache_admin.monitoring.sampler import NodeReading, Reading

NODE = Node(0, "cache.example:6379")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    servers.forget()
    yield
    sampler.forget()


def info(**fields: Any) -> ServerInfo:
    known = {"node": NODE, "at": 1_000.0, "run_id": "a", "product": "Redis", "version": "7.0.15", "role": "primary"}
    return ServerInfo(**{**known, **fields})


def reading(said: ServerInfo | None, error: Any = None, **fields: Any) -> Reading:
    return Reading("default", (NodeReading(NODE, "digest", said, error),), **fields)

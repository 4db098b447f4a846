"""Aliases that a test makes for itself, on servers of its own."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from embedded import Server, running

from cache_admin.adapters import Adapter, adapter, servers
from cache_admin.exceptions import CacheAdminError

PASSWORD = "sw0rdfish"
CORE = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"

#: Makes an alias: ``make_alias(location, backend=..., **options)``.
MakeAlias = Callable[..., Adapter]
StartServer = Callable[..., Server]


@pytest.fixture(autouse=True)
def _fresh_connections() -> Iterator[None]:
    yield
    servers.forget()


@pytest.fixture
def make_alias() -> Iterator[MakeAlias]:
    """An adapter over an alias of the test's own; the other aliases stay."""
    with ExitStack() as stack:

        def make(location: str | list[str], backend: str = CORE, timeout: float = 0.4, **options: Any) -> Adapter:
            known = {
                **settings.CACHES,
                "mine": {"BACKEND": backend, "LOCATION": location, "KEY_PREFIX": "mine", "OPTIONS": options},
            }
            config = {**settings.CACHE_ADMIN, "SERVER_TIMEOUT": timeout}
            stack.enter_context(override_settings(CACHES=known, CACHE_ADMIN=config))
            return adapter("mine")

        yield make


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:

        def run(*options: str, **arguments: Any) -> Server:
            return stack.enter_context(running(options=options, **arguments))

        yield run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def failure(call: Callable[[], object], kind: type[CacheAdminError]) -> CacheAdminError:
    """The error of a call, checked to be ours and to keep secrets."""
    with pytest.raises(kind) as caught:
        call()
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in everything
    assert "mine" in str(caught.value)
    return caught.value

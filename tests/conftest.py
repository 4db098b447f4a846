"""One real server for the whole run; every test starts with it empty."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from embedded import Server, running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server behind the aliases of ``tests.settings``."""
    with running(settings.SOCKET) as started:
        yield started
    shutil.rmtree(settings.RUN_DIR, ignore_errors=True)


@pytest.fixture
def raw(server: Server) -> Iterator[redis.Redis]:
    """A plain client on database 0, and an empty server."""
    client = redis.Redis.from_url(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def cache(raw: redis.Redis):
    """The ``default`` alias (django-redis, prefix "shop"), empty."""
    return caches["default"]

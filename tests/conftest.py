"""One real server for the whole run; every test starts with it empty."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from embedded import Server, running

MISSING = "not on this machine: "


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server behind the aliases of ``tests.settings``."""
    with running(settings.SOCKET) as started:
        yield started


def pytest_unconfigure(config: pytest.Config) -> None:
    """The directory of the run goes last: the test database is in it too."""
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


def program(name: str, *others: str) -> str:
    """Path of a program on PATH. Without it the test is skipped, or fails if ``CACHE_ADMIN_REQUIRE`` names it."""
    for candidate in (name, *others):
        if found := shutil.which(candidate):
            return found
    if name in os.environ.get("CACHE_ADMIN_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here, and not on PATH.")
    pytest.skip(f"{MISSING}{name}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium for the browser tests."""
    return program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def redis_server_binary() -> str:
    """Path of a Redis server, beside the Valkey that the suite brings with it."""
    return program("redis-server")


@pytest.fixture(scope="session")
def memcached_binary() -> str:
    """Path of a memcached."""
    return program("memcached")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line for each program that this machine lacks."""
    lacking: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if MISSING in reason:
            lacking[reason.rpartition(MISSING)[2]] += 1
    for name, count in sorted(lacking.items()):
        terminalreporter.write_line(f"SKIPPED {count} tests: {name} is not on this machine.", red=True, bold=True)

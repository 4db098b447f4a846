"""One real server for the whole run; every test starts with it empty."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from embedded import Server, running

from cache_admin.adapters import servers
from cache_admin.adapters.addresses import CLIENT_NAME
from cache_admin.health import facts

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("timeless", deadline=None)
hypothesis.settings.load_profile("timeless")

StartSite = Callable[[], tuple[subprocess.Popen[str], int]]
MISSING = "not on this machine: "


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server behind the aliases of ``tests.settings``. No command is slow there: machines are busy."""
    with running(settings.SOCKET, ["slowlog-log-slower-than 10000000"]) as started:
        yield started
        servers.forget()
        with redis.Redis.from_url(started.url) as client:
            left = [one for one in client.client_list() if one["name"] == CLIENT_NAME.decode()]
        assert left == [], "a connection of the dashboard was leaked"


@pytest.fixture
def site_database(tmp_path: Path) -> Path:
    """Where the processes of ``start_site`` keep what they record."""
    return tmp_path / "site.sqlite3"


@pytest.fixture
def start_site(site_database: Path, server: Server, raw: redis.Redis) -> Iterator[StartSite]:
    """Starts a process of ``tests.monitoring.recording_site`` and tells its port. All are ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def one() -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "tests.monitoring.recording_site", str(site_database), server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        started.append(process)
        assert process.stdout
        return process, int(process.stdout.readline())

    yield one
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def nothing_remembered_of_health() -> Iterator[None]:
    """What a process knows of the health of an alias lasts for seconds, longer than a test."""
    facts.forget()
    yield
    facts.forget()


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start servers, browsers and processes come first: at the end one of them would keep a worker alone."""

    def quick(item: pytest.Item) -> bool:
        slow = item.get_closest_marker("browser") or item.get_closest_marker("servers")
        return not slow and "start_site" not in getattr(item, "fixturenames", ())

    items.sort(key=quick)


def reasons(reporter: pytest.TerminalReporter) -> list[str]:
    """Why each skipped test was."""
    skipped = reporter.stats.get("skipped", ())
    return [report.longrepr[2] if isinstance(report.longrepr, tuple) else "" for report in skipped]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where programs are required, nothing but the lack of another one excuses a skip. Workers have no reporter."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = os.environ.get("CACHE_ADMIN_REQUIRE")
    if reporter and required and exitstatus == 0 and any(MISSING not in reason for reason in reasons(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line for each program that this machine lacks, and for what else was skipped where nothing may be."""
    lacking: Counter[str] = Counter()
    for reason in reasons(terminalreporter):
        if MISSING in reason:
            lacking[reason.rpartition(MISSING)[2]] += 1
        elif os.environ.get("CACHE_ADMIN_REQUIRE"):
            terminalreporter.write_line(f"FAILED by a skip: {reason}", red=True, bold=True)
    for name, count in sorted(lacking.items()):
        terminalreporter.write_line(f"SKIPPED {count} tests: {name} is not on this machine.", red=True, bold=True)

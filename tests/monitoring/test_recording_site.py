"""Recording in real processes: by itself, at their end, when they are killed, in children, without the database."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from embedded import Server

from tests.conftest import StartSite


def visit(port: int, *pks: int) -> None:
    for pk in pks:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{pk}/", timeout=10) as response:
            assert response.read() == b"x" * 10


def written(site_database: Path) -> tuple[int, int]:
    """Hits and misses that are in the database, of all processes."""
    with closing(sqlite3.connect(site_database, timeout=10)) as connection:
        rows = connection.execute("SELECT counts FROM cache_admin_usage WHERE level IN (0, 60)").fetchall()
    counts = [numbers for (text,) in rows for numbers in json.loads(text).values()]
    return sum(row[0] for row in counts if row), sum(row[1] for row in counts if len(row) > 1)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A process that knows of no test and has ended. ``program`` is Python code, or a module of this package."""
    given = ["-m", f"{__package__}.{program}"] if program.isidentifier() else ["-c", program]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
    return subprocess.run(
        [sys.executable, *given, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment,
        timeout=120,
        check=False,
    )


def eventually(what: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)


def test_a_process_writes_by_itself_and_one_that_is_killed_loses_one_interval(
    start_site: StartSite, site_database: Path
) -> None:
    process, port = start_site()
    visit(port, 1, 2, 3, 1, 2, 3)
    eventually(lambda: written(site_database) == (3, 3))
    visit(port, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert written(site_database) in {(3, 3), (4, 3)}


def test_a_process_that_ends_writes_the_rest(start_site: StartSite, site_database: Path) -> None:
    process, port = start_site()
    visit(port, 1, 2, 1)
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert written(site_database) == (1, 2)


def test_two_processes_write_side_by_side(start_site: StartSite, site_database: Path) -> None:
    (_one, first), (_two, second) = start_site(), start_site()
    visit(first, 1, 1)
    visit(second, 1, 1)
    eventually(lambda: written(site_database) == (3, 1))


def test_one_process_of_two_samples_the_server(start_site: StartSite, site_database: Path) -> None:
    (_one, first), (_two, second) = start_site(), start_site()
    visit(first, 1)
    visit(second, 1)

    def samples() -> list[tuple[float]]:
        with closing(sqlite3.connect(site_database, timeout=10)) as connection:
            return connection.execute("SELECT at FROM cache_admin_serversample ORDER BY at").fetchall()

    eventually(lambda: len(samples()) >= 3)
    moments = [at for (at,) in samples()]
    assert all(later - sooner > 2.5 for sooner, later in pairwise(moments))


def test_requests_do_not_wait_for_a_locked_database(start_site: StartSite, site_database: Path) -> None:
    _process, port = start_site()
    visit(port, 1)
    with closing(sqlite3.connect(site_database, timeout=10, isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        end = time.monotonic() + 8
        slowest = 0.0
        while time.monotonic() < end:
            began = time.monotonic()
            visit(port, 1)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        locker.execute("ROLLBACK")
    assert slowest < 0.9  # SQLite waits for a second


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_write_at_their_end(
    how: str, site_database: Path, server: Server, raw: redis.Redis
) -> None:
    ended = run("recording_children", site_database, server.url, how)
    assert ended.stdout == "done\n", ended.stderr
    assert ended.stderr == ""
    assert written(site_database) == (2, 4)


def test_a_forked_process_that_asks_little_writes_by_itself(
    site_database: Path, server: Server, raw: redis.Redis
) -> None:
    ended = run("recording_children", site_database, server.url, "fork()")
    assert ended.stdout.endswith("done\n"), ended.stderr
    assert ended.stderr == ""
    assert written(site_database) == (1, 2)


def test_a_process_that_merely_imports_test_tools_writes(site_database: Path, server: Server, raw: redis.Redis) -> None:
    program = """
import sys, pytest, django.test.runner
from tests.monitoring import recording_children as children

def configure(*where, configure=children.configure):
    configure(*where)
    from django.core.mail import get_connection
    get_connection("django.core.mail.backends.locmem.EmailBackend")

children.configure = configure
children.main(*sys.argv[1:])
"""
    ended = run(program, site_database, server.url, "fork")
    assert (ended.stdout, ended.stderr) == ("done\n", "")
    assert written(site_database) == (2, 4)


@pytest.mark.parametrize("runner", ["pytest", "django"])
def test_tests_of_a_project_write_nothing(runner: str, site_database: Path, server: Server, raw: redis.Redis) -> None:
    ended = run("recording_tested", site_database, server.url, runner)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert written(site_database) == (0, 0)

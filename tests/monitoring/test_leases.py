"""One process of all does a thing, and when it dies another one does."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest
from django.conf import settings
from django.db import connection

from cache_admin.models import Lease
from cache_admin.monitoring import leases

from . import elsewhere


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch):
    """Makes this process look like another one."""

    def become(name: str) -> None:
        monkeypatch.setattr(leases, "_owner", name)

    return become


@pytest.fixture
def contenders() -> Iterator[list[Popen[str]]]:
    database = connection.settings_dict["NAME"]
    started = [elsewhere.start("hold", database, settings.SOCKET, "thing", 1.5) for _one in range(8)]
    try:
        for one in started:
            assert elsewhere.lines(one) == ["ready"]
        yield started
    finally:
        elsewhere.end(*started)


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_of_eight_processes_one_wins_and_another_when_it_is_killed(contenders: list[Popen[str]]):
    for one in contenders:
        elsewhere.go(one)
    said = [elsewhere.lines(one)[0] for one in contenders]
    assert sorted(said) == ["lost"] * 7 + ["won"]
    elsewhere.end(contenders[said.index("won")])
    assert not leases.hold("thing", 1.5), "the dead one's time has not run out"
    time.sleep(1.6)
    assert leases.hold("thing", 1.5)


@pytest.mark.django_db
def test_a_holder_goes_on_holding(another):
    another("a")
    assert leases.hold("thing", 10)
    assert leases.hold("thing", 10)
    another("b")
    assert not leases.hold("thing", 10)
    assert leases.hold("other thing", 10)


@pytest.mark.django_db
def test_what_is_given_up_is_free_at_once(another):
    another("a")
    assert leases.hold("thing", 10)
    another("b")
    leases.release("thing")  # not its own
    assert not leases.hold("thing", 10)
    another("a")
    leases.release("thing")
    another("b")
    assert leases.hold("thing", 10)
    assert Lease.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("jump", "free"), [(-3_600.0, True), (86_400.0, True), (-20.0, False)])
def test_a_clock_that_jumps_holds_nothing_for_long(another, monkeypatch: pytest.MonkeyPatch, jump: float, free: bool):
    another("a")
    assert leases.hold("thing", 5)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    another("b")
    assert leases.hold("thing", 5) is free


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_locked_database_is_a_quick_no():
    assert leases.hold("thing", 5)
    locker = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        locker.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert not leases.hold("thing", 5)
        assert not leases.hold("new thing", 5)
        leases.release("thing")
        assert time.monotonic() - began < 1
    finally:
        locker.close()
    assert leases.hold("thing", 5)
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)


@pytest.mark.django_db
def test_a_missing_table_is_a_no():
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Lease._meta.db_table} RENAME TO gone")
    assert not leases.hold("thing", 5)
    leases.release("thing")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_is_another_process():
    mine = leases.owner()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, leases.owner().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 200).decode()
    os.close(reading)
    os.close(writing)
    assert theirs != mine
    assert str(child) in theirs
    assert len(mine) <= 100

"""Marking deploys: once for all processes, bounded, and never in the way."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from cache_admin.models import Deploy, Lease
from cache_admin.monitoring import deploys, leases
from cache_admin.monitoring.deploys import Watch

ROOT = Path(__file__).parent.parent.parent
PROCESS = """
import sys, django
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1],
                           "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"}}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "cache_admin"],
    CACHE_ADMIN={"RELEASE": sys.argv[2]}, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
django.setup()
from cache_admin.operations import deploying
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    deploying.watch_release()
"""


def labels() -> list[str]:
    return [label for label, _at in deploys.since(0)]


@pytest.mark.django_db
def test_a_deploy_is_a_label_and_a_moment() -> None:
    assert deploys.latest() is None
    before = time.time()
    deploys.mark(" 1.0 ", "olga")
    deploys.mark("1.1" * 200)
    last = deploys.latest()
    assert last is not None
    assert (len(last.label), last.username) == (200, "")
    ((label, at), _second) = deploys.since(before)
    assert label == "1.0"
    assert before <= at <= time.time()
    assert deploys.since(time.time() + 1) == []
    with pytest.raises(ValueError, match="label"):
        deploys.mark("  ")


@pytest.mark.django_db
def test_deploys_are_bounded_and_old_ones_lose_their_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploys, "KEEP", 8)
    monkeypatch.setattr(deploys, "KEEP_CONTENTS", 3)
    for i in range(12):
        deploys.keep_contents(deploys.mark(f"r{i}", at=1_000.0 + i), {"default": {"error": "x", "at": 1}})
    assert [row.label for row in Deploy.objects.all()] == [f"r{i}" for i in range(11, 3, -1)]
    assert [bool(row.contents) for row in Deploy.objects.all()] == [True] * 3 + [False] * 5


@pytest.mark.django_db
def test_neighbours_stand_before_and_after() -> None:
    one, two, three = (deploys.mark(label, at=at) for label, at in (("a", 10.0), ("b", 20.0), ("c", 20.0)))
    assert deploys.neighbours(one) == (None, two)
    assert deploys.neighbours(two) == (one, three)
    assert deploys.neighbours(three) == (two, None)


@pytest.mark.django_db
def test_a_new_release_is_marked_once_and_a_restart_is_none() -> None:
    assert Watch().look("2026.11.1")
    assert Watch().look("2026.11.1") is None
    assert Watch().look("2026.11.2")
    watch = Watch()
    assert [watch.look("2026.11.2") for _ in range(3)] == [None] * 3
    assert watch.over
    assert Watch().look("") is None
    assert labels() == ["2026.11.1", "2026.11.2"]


@pytest.mark.django_db
def test_a_rollback_is_a_new_mark_but_a_straggler_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    deploys.mark("one", at=time.time() - 9_000)
    deploys.mark("two", at=time.time() - 5)
    straggler = Watch()
    assert straggler.look("one") is None  # a worker of the release before, started late
    assert not straggler.over
    monkeypatch.setattr(deploys, "ROLLING", 1.0)
    began = time.time()
    marked = straggler.look("one")  # still there when all others should be gone: rolled back
    assert marked
    assert marked.at <= began
    assert labels() == ["one", "two", "one"]


@pytest.mark.django_db
def test_a_process_of_a_release_that_was_replaced_stays_quiet() -> None:
    old = Watch()
    assert old.look("one")
    assert Watch().look("two")
    assert old.look("one") is None
    assert labels() == ["one", "two"]


@pytest.mark.django_db
def test_somebody_elses_lease_means_not_now() -> None:
    Lease.objects.create(name="deploy", owner="another", until=time.time() + 20)
    watch = Watch()
    assert watch.look("one") is None
    Lease.objects.all().delete()
    assert watch.look("one")
    assert leases.hold("deploy", 1)  # given back


@pytest.mark.django_db
def test_a_missing_table_reads_as_no_deploys() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Deploy._meta.db_table} RENAME TO gone")
    assert deploys.since(0) == []


def test_of_many_processes_that_start_at_once_one_marks_the_release(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite3"
    command = [sys.executable, "-c", PROCESS, str(database)]
    migrate = PROCESS.split("from cache_admin.operations")[0] + "from django.core.management import call_command\n"
    subprocess.run(
        [sys.executable, "-c", migrate + "call_command('migrate', verbosity=0)", str(database), ""],
        cwd=ROOT, check=True,
    )  # fmt: skip
    for release in ("r1", "r2", "r2"):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen([*command, release], cwd=ROOT, **pipes) for _ in range(4)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
            assert process.returncode == 0
    listed = migrate + "from cache_admin.monitoring import deploys; print(*(one[0] for one in deploys.since(0)))"
    shown = subprocess.run([sys.executable, "-c", listed, str(database), ""], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout.split() == ["r1", "r2"]

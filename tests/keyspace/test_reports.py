"""Readers get the stored complete census, or else a sample, whatever the state of the table."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from django.db import connection

from cache_admin import adapters
from cache_admin.adapters import adapter
from cache_admin.exceptions import UnknownAlias
from cache_admin.keyspace import reports
from cache_admin.keyspace.census import Census
from cache_admin.keyspace.report import Report
from cache_admin.models import CensusReport

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_remembered(raw: redis.Redis) -> Iterator[None]:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(50)})
    reports.forget()
    yield
    reports.forget()


def census() -> Report:
    found = Census(adapter("default"))
    for page in adapter("default").walk(found.choose):
        found.feed(page)
    return found.report()


def test_without_a_stored_census_a_sample_answers_and_is_kept(raw: redis.Redis) -> None:
    first = reports.current("default")
    raw.flushall()
    assert reports.latest("default") is None
    assert reports.current("default") is first
    reports.forget()
    assert reports.current("default").scanned == 0


def test_the_newest_complete_census_is_preferred() -> None:
    report = census()
    now = report.started
    for complete, age in ((True, 20.0), (True, 10.0), (False, 0.0)):
        reports.save(replace(report, complete=complete, started=now - age))
    assert reports.latest("default") == replace(report, started=now - 10.0)
    assert reports.current("default") is reports.latest("default")
    assert reports.latest("core") is None


def test_a_census_of_another_day_gives_way_to_a_sample_of_now() -> None:
    old = replace(census(), started=census().started - reports.STORED_SECONDS)
    reports.save(old)
    assert reports.latest("default") == old
    assert reports.current("default").started > old.started


def test_a_partial_census_is_the_latest_but_a_sample_is_current() -> None:
    report = replace(census(), complete=False, notes=("partial",))
    reports.save(report)
    assert reports.latest("default") == report
    assert reports.current("default").notes == ()


def test_only_the_last_reports_of_an_alias_are_kept() -> None:
    report = census()
    reports.save(replace(report, alias="core"))
    for i in range(reports.KEEP + 5):
        reports.save(replace(report, started=float(i)))
    assert CensusReport.objects.filter(alias="default").count() == reports.KEEP
    assert reports.latest("default") == replace(report, started=float(reports.KEEP + 4))
    assert CensusReport.objects.filter(alias="core").count() == 1


def test_without_the_table_a_sample_answers(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cache_admin_censusreport RENAME TO elsewhere")
    assert reports.current("default").own_keys.value == 50
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("stored", [{"alias": "default"}, [], {"patterns": [1]}], ids=["fields", "shape", "depth"])
def test_a_report_that_another_version_stored_is_passed_over(stored: object, caplog: pytest.LogCaptureFixture) -> None:
    reports.save(census())
    CensusReport.objects.update(report=stored)
    assert reports.latest("default") is None
    assert reports.current("default").own_keys.value == 50
    assert "cannot be read" in caplog.text


def test_readers_at_once_share_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def sample(*args: object) -> Report:
        taken.append(args)
        return report

    report = census()
    monkeypatch.setattr(reports, "sample", sample)
    monkeypatch.setattr(reports, "_latest", lambda alias, memory: None)
    threads = [threading.Thread(target=reports.current, args=("default",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_an_unknown_alias_is_refused() -> None:
    with pytest.raises(UnknownAlias):
        reports.current("nowhere")


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_does_not_wait_for_a_look_of_its_parent() -> None:
    with reports._memories.setdefault("default", reports._Memory()).lock, adapters._lock:
        if not (child := os.fork()):
            signal.alarm(5)
            os._exit(0 if reports.current("default").scanned == 50 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

from __future__ import annotations

import pytest
import redis
from django.contrib.auth.models import User
from embedded import running

from cache_admin.models import CensusReport, Operation
from cache_admin.operations import census, driving, runner
from cache_admin.operations.base import Cancelled

from .conftest import wait_for

pytestmark = pytest.mark.django_db


def fill(raw: redis.Redis, count: int, head: str = "shop:1:") -> None:
    for start in range(0, count, 1_000):
        raw.mset({f"{head}a:{number}": b"v" for number in range(start, min(start + 1_000, count))})


def patterns(stored: CensusReport) -> dict[str, float]:
    from cache_admin.keyspace import reports

    return {stats.pattern: stats.keys.value for stats in reports.current(stored.alias).patterns}


def test_a_complete_scan_stores_an_exact_report(raw: redis.Redis, operator: User) -> None:
    fill(raw, 3_000)
    raw.set("celery", b"x")
    operation = runner.start(census.plan("default"), operator)
    assert (operation.state, operation.scanned, operation.total, operation.done_keys) == ("done", 3_001, 3_001, 0)
    stored = CensusReport.objects.get()
    assert (stored.complete, stored.scanned) == (True, 3_001)
    assert patterns(stored) == {"a:*": 3_000}


def test_a_cancelled_scan_keeps_what_it_saw(raw: redis.Redis, operator: User, monkeypatch) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    fill(raw, 10_000)

    def stop(row: Operation) -> None:
        if row.scanned >= 4_000:
            raise Cancelled("Enough.")

    operation, _ = runner.begin(census.plan("default"), operator)
    operation = runner.run(operation, stop)
    assert operation.state == "cancelled"
    assert 4_000 <= operation.scanned < 10_000
    stored = CensusReport.objects.get()
    assert (stored.complete, stored.scanned, stored.total) == (False, operation.scanned, 10_000)


def test_a_scan_goes_on_in_another_process_from_what_was_written_down(
    raw: redis.Redis, operator: User, monkeypatch
) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    monkeypatch.setattr(census, "_DUMP_EVERY", 0.0)
    fill(raw, 10_000)

    class Killed(BaseException):
        pass

    def kill(row: Operation) -> None:
        if row.scanned >= 4_000:
            raise Killed

    operation, _ = runner.begin(census.plan("default"), operator)
    with pytest.raises(Killed):
        runner.run(operation, kill)
    CensusReport.objects.all().delete()
    Operation.objects.update(lease_until=None)
    raw.config_resetstat()
    operation = runner.poll(Operation.objects.get())
    assert (operation.state, operation.scanned) == ("done", 10_000)
    assert raw.info("commandstats")["cmdstat_scan"]["calls"] <= 7
    assert patterns(CensusReport.objects.get()) == {"a:*": 10_000}


def test_only_one_scan_of_an_alias_runs_at_a_time(raw: redis.Redis, operator: User) -> None:
    runner.begin(census.plan("default"), operator)
    with pytest.raises(runner.OperationConflict):
        runner.begin(census.plan("default", fast=True), operator)
    runner.begin(census.plan("core"), operator)


@pytest.mark.servers
def test_a_server_killed_in_the_middle_leaves_a_partial_report_and_a_way_on(
    operator: User, settings, monkeypatch
) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    with running() as own:
        settings.CACHES = {
            **settings.CACHES,
            "own": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": own.url},
        }
        client = redis.Redis.from_url(own.url)
        fill(client, 10_000, ":1:")

        def kill(row: Operation) -> None:
            if row.scanned >= 4_000:
                own.kill()

        operation, _ = runner.begin(census.plan("own"), operator)
        operation = runner.run(operation, kill)
        assert operation.state == "interrupted"
        stored = CensusReport.objects.get()
        assert not stored.complete
        assert 4_000 <= stored.scanned == operation.scanned < 10_000
        own.socket.unlink(missing_ok=True)
        own.start()
        fill(client, 2_000, ":1:")
        client.close()
        wait_for(lambda: resumed(operation, operator))
        operation.refresh_from_db()
        assert (operation.state, operation.scanned, operation.total) == ("done", 2_000, 2_000)


def resumed(operation: Operation, operator: User) -> bool:
    operation.refresh_from_db()
    return runner.resume(operation, operator).state == "done"

"""Sites that read from a replica, which shows later what was written."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings

from cache_admin.keyspace import growth
from cache_admin.models import Deploy, Growth, Usage, UsageTotal
from cache_admin.monitoring import rollup
from cache_admin.monitoring.deploys import Watch
from cache_admin.monitoring.usage import Counts, dump
from cache_admin.operations import purge, runner
from cache_admin.operations.targets import Target

pytestmark = pytest.mark.django_db


class ReadsElsewhere:
    """Whoever reads there fails: no such database is set up."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "cache_admin" else None

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


@pytest.fixture(autouse=True)
def replica() -> Any:
    with override_settings(DATABASE_ROUTERS=[ReadsElsewhere()]):
        yield


def test_counts_are_summed_up_where_they_are_written() -> None:
    now = time.time() // 86_400 * 86_400.0
    usage, total = (model.objects.using("default") for model in (Usage, UsageTotal))
    for ago in (7_200, 7_195, 60 * 86_400):
        at = int(now) - ago
        usage.create(level=0, alias="default", at=at, source=str(at), counts=dump({b"a": Counts(hits=3)}))
    rollup.run(now + rollup.MARGIN)
    found = {row.level: row.counts["a"][0] for row in usage.filter(at__gte=now - 86_400)}
    assert found == {60: 6, 600: 6, 3_600: 6, 21_600: 6}
    assert total.get().totals["a"]["counts"][0] == 9
    assert not usage.filter(at__lt=now - 35 * 86_400).exists()


def test_a_release_is_looked_for_where_deploys_are_written() -> None:
    assert Watch().look("1.0")
    assert Watch().look("1.0") is None
    assert Deploy.objects.using("default").count() == 1


def test_old_days_go_where_they_were_written() -> None:
    days = Growth.objects.using("default")
    days.create(alias="default", day=date.today() - timedelta(days=200), complete=True, contents={})
    growth._trim(date.today() - timedelta(days=growth.DAYS))
    assert not days.exists()


def test_an_operation_is_driven_where_it_was_written(raw: Any) -> None:
    caches["default"].set_many({f"a:{i}": 1 for i in range(20)})
    operation, created = runner.begin(purge.plan("default", [Target.glob("a:*")], None), None, username="ops")
    assert created
    assert runner.poll(runner.run(operation)).state == "done"
    assert operation.done_keys == 20

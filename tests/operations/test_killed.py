from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from cache_admin.adapters.base import DELETE_BATCH
from cache_admin.models import Operation
from cache_admin.operations import runner
from cache_admin.operations.purge import plan
from cache_admin.operations.targets import Target

from .conftest import wait_for

COUNT = 20_000
ROOT = Path(__file__).parents[2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_purge_goes_on_elsewhere_when_its_process_is_killed(raw: redis.Redis, operator: User) -> None:
    pipeline = raw.pipeline(transaction=False)
    for number in range(COUNT):
        pipeline.set(f"shop:1:a:{number}", b"v" * 50)
    pipeline.set("shop:1:b", b"stays")
    pipeline.execute()
    operation, _ = runner.begin(plan("default", [Target.glob("a:*")], operator), operator)
    expire_lease()

    arguments = [str(connection.settings_dict["NAME"]), str(settings.SOCKET), str(operation.pk)]
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.operations.taking_over", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'example_project'}"},
    )
    try:
        wait_for(lambda: Operation.objects.get().done_keys >= 2_000, 60)
    finally:
        worker.kill()
        worker.wait()

    gone = COUNT + 1 - raw.dbsize()
    row = Operation.objects.get()
    assert row.state == "running"
    assert 0 <= gone - row.done_keys <= DELETE_BATCH
    assert 2_000 <= gone < COUNT, "it was killed in the middle"
    assert runner.poll(row).done_keys == row.done_keys, "nobody takes over before the lease has run out"
    assert row.lease_until <= timezone.now() + timedelta(seconds=30)
    expire_lease()
    row = runner.poll(row)
    assert row.state == "done"
    assert raw.keys("*") == [b"shop:1:b"]
    assert COUNT - DELETE_BATCH <= row.done_keys <= COUNT


def expire_lease() -> None:
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

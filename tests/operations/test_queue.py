"""Operations on a queue of the project's own."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cache_admin.models import Operation
from cache_admin.operations import queueing, runner
from cache_admin.operations.base import Kind
from tests.operations.conftest import Toy, toy_plan

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db(transaction=True)
queue: list[str] = []


def put(pk: str) -> None:
    """A queue of a make of its own."""
    queue.append(pk)


def put_nowhere(pk: str) -> None:
    raise ConnectionError("redis://broker:secret@host")


@pytest.fixture(autouse=True)
def queued(settings: Any) -> None:
    queue.clear()
    settings.CACHE_ADMIN = {"RUNNER": "tests.operations.test_queue.put"}


def work() -> str:
    return queueing.run_operation(queue.pop(0))


def expire_lease() -> None:
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def test_an_operation_waits_for_a_worker_that_runs_it_to_its_end(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(3), operator)
    assert (operation.state, operation.lease_owner, operation.done_keys) == ("running", queueing.WAITING, 0)
    assert queue == [str(operation.pk)]
    assert work() == "done"
    operation.refresh_from_db()
    assert (operation.state, operation.done_keys, operation.active_key) == ("done", 3, None)


def test_looking_at_one_that_waits_hands_it_over_no_second_time(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(), operator)
    assert runner.poll(operation).lease_owner == queueing.WAITING
    assert len(queue) == 1


def test_it_is_handed_over_after_the_transaction(operator: User, toy: Toy) -> None:
    with transaction.atomic():
        runner.start(toy_plan(), operator)
        assert queue == []
    assert len(queue) == 1


def test_a_second_delivery_does_nothing(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(2), operator)
    twice: list[str] = []
    toy.at = lambda number: twice.append(queueing.run_operation(str(operation.pk)))
    assert work() == "done"
    assert twice == ["running", "running"], "somebody drives it"
    assert queueing.run_operation(str(operation.pk)) == "done", "it is over"
    operation.refresh_from_db()
    assert operation.done_keys == 2


def test_one_that_the_queue_lost_is_handed_over_again_when_somebody_looks(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(), operator)
    assert operation.lease_until - timezone.now() > queueing.PATIENCE - timedelta(minutes=1)
    queue.clear()
    expire_lease()
    runner.poll(operation)
    assert work() == "done"


def test_one_whose_worker_was_killed_goes_on_from_its_last_step(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(3), operator)
    queue.clear()
    Operation.objects.update(lease_owner="a dead worker", cursor={"next": 2}, done_keys=2)
    assert queueing.run_operation(str(operation.pk)) == "running", "its lease has not run out"
    expire_lease()
    steps: list[int] = []
    toy.at = steps.append
    runner.poll(operation)
    assert work() == "done"
    assert steps == [2]


def test_cancelled_while_it_waits_it_ends_at_once(operator: User, toy: Toy) -> None:
    operation = runner.cancel(runner.start(toy_plan(), operator), operator)
    assert (operation.state, operation.error, operation.active_key) == ("cancelled", "Cancelled by olga.", None)
    assert operation.finished
    assert work() == "cancelled"
    assert runner.start(toy_plan(), operator).state == "running", "it keeps nobody from starting anew"


def test_a_queue_that_refuses_interrupts_it_and_keeps_its_secrets(operator: User, toy: Toy, settings: Any) -> None:
    settings.CACHE_ADMIN = {"RUNNER": "tests.operations.test_queue.put_nowhere"}
    operation = runner.start(toy_plan(), operator)
    assert operation.state == "interrupted"
    assert "did not take this" in operation.error
    assert "secret" not in operation.error
    settings.CACHE_ADMIN = {"RUNNER": "tests.operations.test_queue.put"}
    assert runner.resume(operation, operator).lease_owner == queueing.WAITING
    assert work() == "done"


def test_a_permission_lost_in_the_queue_stops_it(operator: User, toy: Toy) -> None:
    runner.start(toy_plan(), operator)
    operator.user_permissions.clear()
    assert work() == "refused"


def test_an_unknown_operation_is_nothing(toy: Kind) -> None:
    assert queueing.run_operation("00000000-0000-0000-0000-000000000000") == ""


def test_the_page_says_that_it_waits(client: Any, operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(), operator)
    client.force_login(operator)
    address = f"/admin/cache_admin/cache/operations/{operation.pk}/"
    assert "waiting for a worker of the site's queue" in client.get(address).content.decode()
    assert work() == "done"
    assert "waiting for a worker" not in client.get(address).content.decode()


def test_the_recipe_for_celery(operator: User, toy: Toy, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the documentation writes it, with the two names that it takes from Celery."""
    celery, recipe = ModuleType("celery"), ModuleType("recipe_for_celery")

    def shared_task(function: Any) -> Any:
        return SimpleNamespace(function=function, apply_async=lambda args, queue: put(*args))

    celery.shared_task = shared_task  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery", celery)
    monkeypatch.setitem(sys.modules, "recipe_for_celery", recipe)
    source = (ROOT / "docs" / "queues.md").read_text()
    exec(re.search(r"```python\n(from celery.*?)```", source, re.DOTALL)[1], recipe.__dict__)  # type: ignore[index]
    settings.CACHE_ADMIN = {"RUNNER": "recipe_for_celery.enqueue"}
    operation = runner.start(toy_plan(), operator)
    assert operation.lease_owner == queueing.WAITING
    assert recipe.run_cache_operation.function(queue.pop()) == "done"


def test_the_recipe_for_django_tasks_with_a_worker_process(raw: redis.Redis, tmp_path: Path) -> None:
    raw.mset({f"shop:1:a:{number}": b"v" for number in range(50)} | {"shop:1:b": b"stays"})
    database = tmp_path / "site.sqlite3"
    environment = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'example_project'}",
        "DJANGO_SETTINGS_MODULE": "tests.operations.queue_settings",
        "QUEUE_DATABASE": str(database),
        "QUEUE_SOCKET": str(django_settings.SOCKET),
    }

    def process(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    owner, done = process("tests.operations.queue_click").split()
    assert (owner, done) == (queueing.WAITING, "0")
    assert raw.dbsize() == 51, "the web process only asks"
    worker = ("django", "db_worker", "--batch", "--no-startup-delay", "--no-reload", "--queue-name")
    process(*worker, "default")
    assert raw.dbsize() == 51, "operations have a queue of their own"
    process(*worker, "cache_admin")
    assert raw.keys("*") == [b"shop:1:b"]
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT state, done_keys, username FROM cache_admin_operation").fetchall() == [
        ("done", 50, "olga")
    ]
    assert connection.execute("SELECT status, queue_name FROM django_tasks_database_dbtaskresult").fetchall() == [
        ("SUCCESSFUL", "cache_admin")
    ]
    connection.close()

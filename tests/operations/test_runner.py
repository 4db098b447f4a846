from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections
from django.utils import timezone

from cache_admin.exceptions import NotPermitted, OperationConflict, StalePlan, Unavailable, WriteRefused
from cache_admin.models import Operation
from cache_admin.operations import driving, runner
from cache_admin.operations.base import Overrun
from cache_admin.operations.confirmation import redeem, token_for

from .conftest import Toy, grant, toy_plan, wait_for

database = pytest.mark.django_db
threaded = pytest.mark.django_db(transaction=True)


def raiser(error: Exception, at: int = 2):
    def act(number: int) -> None:
        if number == at:
            raise error

    return act


def in_parallel(count: int, call):
    """The results or exceptions of ``call``, started at the same moment in ``count`` threads."""
    barrier = threading.Barrier(count)

    def one(_):
        try:
            barrier.wait()
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@database
def test_an_operation_runs_to_its_end(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(4), operator, "prices are stale")
    assert operation.state == "done"
    assert (operation.done_keys, operation.done_bytes, operation.cursor) == (4, 40, {"next": 4})
    assert (operation.username, operation.reason, operation.planned_keys) == ("olga", "prices are stale", 4)
    assert operation.finished
    assert operation.active_key is None
    assert not operation.lease_owner


@database
def test_the_row_is_there_before_the_first_step(operator: User, toy: Toy) -> None:
    seen: list[int] = []
    toy.at = lambda number: seen.append(Operation.objects.filter(state="running").count())
    runner.start(toy_plan(1), operator)
    assert seen == [1]


@database
@pytest.mark.sqlite
def test_nothing_is_done_when_the_row_cannot_be_written(operator: User, toy: Toy) -> None:
    steps: list[int] = []
    toy.at = steps.append
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON cache_admin_operation BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(DatabaseError):
        runner.start(toy_plan(), operator)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse")
    assert steps == []
    assert not Operation.objects.exists()


@database
def test_every_change_is_saved_before_the_next_one(operator: User, toy: Toy) -> None:
    saved: list[int] = []
    toy.at = lambda number: saved.append(Operation.objects.get().done_keys)
    runner.start(toy_plan(3), operator)
    assert saved == [0, 1, 2]


@database
def test_without_the_permission_nothing_starts(toy: Toy) -> None:
    nobody = User.objects.create_user("nobody", is_staff=True)
    with pytest.raises(PermissionDenied):
        runner.start(toy_plan(), nobody)
    assert not Operation.objects.exists()


@database
@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Unavailable("default does not answer."), "interrupted"),
        (Overrun("More than planned."), "interrupted"),
        (WriteRefused("default is a replica; nothing was deleted."), "failed"),
        (NotPermitted("not permitted: +unlink", "unlink"), "failed"),
    ],
)
def test_a_known_trouble_ends_it_with_words_and_exact_counts(operator: User, toy: Toy, error, state) -> None:
    toy.at = raiser(error)
    operation = runner.start(toy_plan(5), operator)
    assert (operation.state, operation.error, operation.done_keys) == (state, str(error), 2)
    assert operation.active_key is None
    assert toy.closed.is_set()


@database
def test_an_unexpected_error_is_logged_and_told_without_details(operator: User, toy: Toy, caplog) -> None:
    toy.at = raiser(RuntimeError("redis://:hunter2@10.0.0.1"))
    operation = runner.start(toy_plan(5), operator)
    assert operation.state == "failed"
    assert "hunter2" not in operation.error
    assert "hunter2" in caplog.text


@database
def test_an_interrupted_operation_goes_on_where_it_stopped(operator: User, toy: Toy) -> None:
    toy.at = raiser(Unavailable("gone"))
    operation = runner.start(toy_plan(5), operator)
    steps: list[int] = []
    toy.at = steps.append
    operation = runner.resume(operation, operator)
    assert steps == [2, 3, 4]
    assert (operation.state, operation.done_keys, operation.error) == ("done", 5, "")


@database
def test_resuming_needs_an_interrupted_operation_and_the_permission(operator: User, toy: Toy) -> None:
    operation = runner.start(toy_plan(1), operator)
    with pytest.raises(StalePlan):
        runner.resume(operation, operator)
    toy.at = raiser(Unavailable("gone"), at=0)
    operation = runner.start(toy_plan(1), operator)
    with pytest.raises(PermissionDenied):
        runner.resume(operation, User.objects.create_user("nobody"))
    helper = grant(User.objects.create_user("hanna"), "invalidate")
    toy.at = lambda number: None
    assert runner.resume(operation, helper).username == "olga, resumed by hanna"


@database
def test_an_interrupted_operation_does_not_stand_in_the_way_of_a_new_one(operator: User, toy: Toy) -> None:
    toy.at = raiser(Unavailable("gone"))
    runner.start(toy_plan(3), operator)
    toy.at = lambda number: None
    assert runner.start(toy_plan(3), operator).state == "done"


@threaded
def test_of_two_operators_only_one_gets_to_run_the_same_thing(operator: User, toy: Toy, threads: None) -> None:
    for _ in range(100):
        go_on = threading.Event()
        toy.at = lambda number, gate=go_on: gate.wait(10)
        results = in_parallel(2, lambda: runner.start(toy_plan(1), operator))
        winners = [result for result in results if isinstance(result, Operation)]
        losers = [result for result in results if isinstance(result, OperationConflict)]
        go_on.set()
        assert len(winners) == len(losers) == 1, results
        assert losers[0].operation_id == str(winners[0].pk)
        assert "olga" in str(losers[0])
        wait_for(lambda pk=winners[0].pk: Operation.objects.get(pk=pk).state == "done")


@threaded
def test_one_token_redeemed_in_parallel_is_one_operation(operator: User, toy: Toy, threads: None) -> None:
    token = token_for(toy_plan(2), operator)
    results = in_parallel(4, lambda: runner.start(redeem(token, operator, "default"), operator))
    assert len({result.pk for result in results}) == 1
    wait_for(lambda: Operation.objects.get().state == "done")
    assert Operation.objects.get().done_keys == 2


@threaded
def test_a_running_operation_is_cancelled_at_its_next_step(operator: User, toy: Toy, threads: None) -> None:
    started, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 1:
            started.set()
            go_on.wait(10)

    toy.at = hold
    driving_tick, driving.TICK = driving.TICK, 0.0
    try:
        operation = runner.start(toy_plan(50), operator)
        assert started.wait(10)
        runner.cancel(operation, operator)
        go_on.set()
        wait_for(lambda: Operation.objects.get().state == "cancelled")
    finally:
        driving.TICK = driving_tick
    operation.refresh_from_db()
    assert operation.done_keys < 50
    assert operation.error == "Cancelled by olga."
    assert toy.closed.wait(5)


@database
def test_an_interrupted_operation_can_be_cancelled_and_a_finished_one_stays(operator: User, toy: Toy) -> None:
    toy.at = raiser(Unavailable("gone"))
    operation = runner.start(toy_plan(3), operator)
    with pytest.raises(PermissionDenied):
        runner.cancel(operation, User.objects.create_user("nobody"))
    assert runner.cancel(operation, operator).state == "cancelled"
    toy.at = lambda number: None
    assert runner.cancel(runner.start(toy_plan(3), operator), operator).state == "done"


@database
@pytest.mark.parametrize("how", ["revoked", "inactive", "deleted"])
def test_a_lost_permission_stops_a_running_operation(operator: User, toy: Toy, monkeypatch, how: str) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)

    def lose(number: int) -> None:
        if number == 2:
            if how == "revoked":
                operator.user_permissions.remove(Permission.objects.get(codename="invalidate"))
            elif how == "inactive":
                User.objects.filter(pk=operator.pk).update(is_active=False)
            else:
                Operation.objects.update(user=None)  # as a deletion from another process leaves it
                User.objects.filter(pk=operator.pk).delete()

    toy.at = lose
    operation = runner.start(toy_plan(50), operator)
    assert operation.state == "refused"
    assert operation.done_keys == 3
    assert "olga" in operation.error


@database
def test_an_abandoned_operation_is_taken_over_by_whoever_looks(operator: User, toy: Toy) -> None:
    operation, _ = runner.begin(toy_plan(3), operator)
    assert runner.poll(operation).state == "running", "its lease has not run out"
    Operation.objects.update(cursor={"next": 1}, done_keys=1, lease_until=timezone.now() - timedelta(seconds=1))
    operation = runner.poll(operation)
    assert (operation.state, operation.done_keys) == ("done", 3)


@threaded
def test_only_one_of_many_lookers_takes_over(operator: User, toy: Toy, threads: None) -> None:
    steps: list[int] = []
    toy.at = steps.append
    runner.begin(toy_plan(3), operator)
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    in_parallel(4, lambda: runner.poll(Operation.objects.get()))
    wait_for(lambda: Operation.objects.get().state == "done")
    assert steps == [0, 1, 2]


@database
def test_a_driver_that_lost_its_lease_stops_and_writes_nothing(operator: User, toy: Toy) -> None:
    def steal(number: int) -> None:
        if number == 1:
            Operation.objects.update(lease_owner="somebody else")

    toy.at = steal
    operation = runner.start(toy_plan(5), operator)
    assert (operation.state, operation.lease_owner, operation.done_keys) == ("running", "somebody else", 1)


@database
@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("connection already closed")])
def test_a_database_that_is_away_leaves_the_row_to_whoever_looks_next(
    operator: User, toy: Toy, error: Exception
) -> None:
    toy.at = raiser(error)
    operation, _created = runner.begin(toy_plan(3), operator)
    with pytest.raises(type(error)):
        runner.run(operation)
    toy.at = lambda number: None
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runner.poll(operation).state == "done"


@database
def test_a_terminal_needs_no_user_and_says_who_sat_there(toy: Toy) -> None:
    operation, created = runner.begin(toy_plan(2), None, username="root")
    seen: list[int] = []
    operation = runner.run(operation, lambda row: seen.append(row.done_keys))
    assert created
    assert (operation.state, operation.username, seen) == ("done", "terminal: root", [1, 2])


@database
def test_old_audit_rows_are_trimmed_but_never_what_can_be_resumed(operator: User, toy: Toy, settings) -> None:
    settings.CACHE_ADMIN = {"RUNNER": "inline", "AUDIT_DAYS": 30}
    old = timezone.now() - timedelta(days=31)
    for number in range(3):
        Operation.objects.create(kind="toy", alias="a", state="done", nonce=f"d{number}", created=old, finished=old)
    kept = Operation.objects.create(kind="toy", alias="a", state="interrupted", nonce="i", created=old)
    new = runner.start(toy_plan(1), operator)
    assert set(Operation.objects.values_list("pk", flat=True)) == {kept.pk, new.pk}


def test_a_gentle_pace_keeps_the_server_free_for_its_share(monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(driving.time, "monotonic", lambda: now)

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(driving.time, "sleep", sleep)
    pace, began = driving.Pace(0.25, lambda: None), now
    for _ in range(100):
        now += 0.01 + 0.002  # the server busy for 10 ms, then we for 2 ms
        pace.rest(0.01)
    assert 100 * 0.01 / (now - began) == pytest.approx(0.25 * 0.95, rel=0.02)
    now += 100
    before = now
    now += 0.01
    pace.rest(0.01)
    assert now - before == pytest.approx(0.01 / (0.25 * 0.95)), "idle time is not saved up for a burst"

    worked = 0.0
    pace, began = driving.Pace(0.25, lambda: worked), now
    for _ in range(1_000):
        now += 0.01
        worked += 0.004  # of 10 ms on the wire
        pace.rest(0.01)
    assert 0.2 < worked / (now - began) <= 0.25

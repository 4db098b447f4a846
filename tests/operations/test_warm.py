"""Warmers as operations: isolated, timed out, one run at a time, cancelled, resumed, audited."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone

from cache_admin.caching import warming
from cache_admin.caching.warmers import warmer, warmers
from cache_admin.caching.warming import BATCH
from cache_admin.exceptions import OperationConflict
from cache_admin.models import Operation
from cache_admin.operations import purge, runner, warm, warmed
from cache_admin.operations.targets import Target
from tests.operations.conftest import grant, wait_for

database = pytest.mark.django_db
threaded = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]
Make = Callable[..., None]


@pytest.fixture
def make(cache: Any) -> Iterator[Make]:
    """Registers warmers for one test, and no others."""
    before = warmers._entries
    warmers._entries = {}

    def register(name: str, function: Callable[[], Any] = dict, **options: Any) -> None:
        warmer(name, **options)(function)

    yield register
    warmers._entries = before


@pytest.fixture
def keeper(operator: User) -> User:
    return grant(operator, "run_warmers")


def start(user: User, *names: str) -> Operation:
    return runner.start(warm.plan(names), user)


def broken() -> None:
    raise ValueError("no stock")


@database
def test_warmers_run_one_after_the_other_and_fill_the_cache(make: Make, keeper: User, cache: Any) -> None:
    make("home", lambda: {"home:page": 1, "home:menu": 2})
    make("products", lambda: ((f"product:{i}", i) for i in range(BATCH + 1)), alias="core")
    operation = start(keeper, "home", "products", "home")
    assert (operation.state, operation.error) == ("done", "")
    assert (operation.scanned, operation.total, operation.done_keys) == (2, 2, BATCH + 3)
    assert operation.summary == "Run the warmers home, products."
    assert operation.alias == "default, core"
    assert cache.get("home:menu") == 2
    assert [(o.name, o.state, o.written, o.by) for o in warmed.outcomes(operation)] == [
        ("home", "done", 2, "olga"),
        ("products", "done", BATCH + 1, "olga"),
    ]


@database
def test_one_that_fails_is_named_and_the_others_do_their_work(make: Make, keeper: User, cache: Any) -> None:
    make("first", lambda: {"first": 1})
    make("broken", broken)
    make("last", lambda: {"last": 1})
    operation = start(keeper, "first", "broken", "last")
    assert operation.state == "failed"
    assert operation.error == "1 of 3 warmers failed: broken (ValueError: no stock)."
    assert (operation.scanned, operation.done_keys) == (3, 2)
    assert cache.get("last") == 1
    assert [outcome.failed for outcome in warmed.outcomes(operation)] == [False, True, False]


@database
def test_one_that_hangs_is_left_behind_at_its_limit(make: Make, keeper: User) -> None:
    release = threading.Event()
    make("hangs", lambda: release.wait(10) and None, limit=0.3)
    make("last", lambda: {"last": 1})
    began = time.monotonic()
    operation = start(keeper, "hangs", "last")
    release.set()
    assert time.monotonic() - began < 5
    assert "hangs (It took longer than its 0.3 seconds.)" in operation.error
    assert operation.done_keys == 1


@database
def test_a_warmer_that_is_gone_is_said_so(make: Make, keeper: User) -> None:
    make("there", lambda: {"there": 1})
    with pytest.raises(warm.UnknownWarmer, match="no warmer named gone"):
        warm.plan(["there", "gone"])
    with pytest.raises(warm.UnknownWarmer, match="No warmer is chosen"):
        warm.plan([])
    make("soon", dict)
    plan = warm.plan(["soon", "there"])
    del warmers._entries["soon"]
    operation = runner.start(plan, keeper)
    assert "soon (There is no warmer of this name any more.)" in operation.error
    assert operation.done_keys == 1


@database
def test_its_permission_is_needed(make: Make, operator: User) -> None:
    make("home")
    with pytest.raises(PermissionDenied):
        start(operator, "home")
    assert not Operation.objects.exists()


@threaded
def test_a_second_run_is_refused_while_one_runs(make: Make, keeper: User, threads: None) -> None:
    begun, release = threading.Event(), threading.Event()
    make("slow", lambda: begun.set() or (release.wait(10) and None))
    make("other", lambda: {"other": 1})
    first = start(keeper, "slow")
    assert begun.wait(10)
    with pytest.raises(OperationConflict, match="Run the warmer slow") as refused:
        start(keeper, "other")
    assert refused.value.operation_id == str(first.pk)
    release.set()
    wait_for(lambda: Operation.objects.get().state == "done")
    start(keeper, "other")
    wait_for(lambda: Operation.objects.filter(state="done").count() == 2)


@threaded
def test_the_lease_is_renewed_while_a_warmer_computes(make: Make, keeper: User, threads: None) -> None:
    begun, release = threading.Event(), threading.Event()
    make("slow", lambda: begun.set() or (release.wait(10) and None))
    start(keeper, "slow")
    assert begun.wait(10)
    before = Operation.objects.get().lease_until
    wait_for(lambda: Operation.objects.get().lease_until > before)
    release.set()
    wait_for(lambda: Operation.objects.get().state == "done")


@threaded
def test_cancelled_it_stops_at_the_next_batch(make: Make, keeper: User, threads: None, raw: redis.Redis) -> None:
    closed = threading.Event()

    def endless() -> Iterator[tuple[str, int]]:
        try:
            for number in range(10**9):
                time.sleep(0.0005)
                yield f"k:{number % 5_000}", number
        finally:
            closed.set()

    make("endless", endless)
    make("never", lambda: {"never": 1})
    operation = start(keeper, "endless", "never")
    wait_for(lambda: Operation.objects.get().done_keys >= BATCH)
    runner.cancel(operation, keeper)
    wait_for(lambda: Operation.objects.get().state == "cancelled")
    assert closed.wait(5)
    assert not raw.exists("shop:1:never")
    assert [outcome.state for outcome in warmed.outcomes(Operation.objects.get())] == ["cut off", "cut off"]


@threaded
def test_a_permission_taken_away_stops_it(make: Make, keeper: User, threads: None) -> None:
    begun, release = threading.Event(), threading.Event()
    make("slow", lambda: begun.set() or (release.wait(10) and None))
    start(keeper, "slow")
    assert begun.wait(10)
    keeper.user_permissions.clear()
    wait_for(lambda: Operation.objects.get().state == "refused")
    release.set()


@threaded
@pytest.mark.sqlite
def test_it_goes_on_with_the_warmer_that_was_cut_off_when_its_worker_is_killed(
    make: Make, keeper: User, raw: redis.Redis
) -> None:
    calls: list[str] = []
    make("first", lambda: calls.append("first") or {"first": 1})
    make("slow", lambda: calls.append("slow") or {f"slow:{i}": i for i in range(2 * BATCH)})
    operation, _ = runner.begin(warm.plan(["first", "slow"]), keeper)
    expire_lease()
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.operations.warming_site"),
            *(str(connection.settings_dict["NAME"]), str(django_settings.SOCKET), str(operation.pk)),
        ],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'example_project'}"},
    )
    try:
        wait_for(lambda: Operation.objects.get().done_keys > BATCH, 60)
    finally:
        worker.kill()
        worker.wait()
    row = Operation.objects.get()
    assert (row.state, row.cursor["next"], row.scanned) == ("running", 1, 1)
    assert 0 < raw.ttl("shop:1:cache_warm:slow:lock") <= warming.LOCK_SECONDS
    raw.pexpire("shop:1:cache_warm:slow:lock", 1_500)
    expire_lease()
    assert runner.poll(row).state == "done"
    assert calls == ["slow"], "what was done is not done again, and the dead worker's lock is waited for"
    assert raw.exists(f"shop:1:slow:{2 * BATCH - 1}")


@database
def test_a_lock_held_elsewhere_is_a_failure_in_words(make: Make, keeper: User, cache: Any) -> None:
    make("home", lambda: {"home": 1})
    cache.set("cache_warm:home:lock", 1, 60)
    operation = start(keeper, "home")
    assert operation.error == "The warmer failed: home (It is running already.)."


@database
def test_a_full_memory_is_named(make: Make, keeper: User, raw: redis.Redis) -> None:
    make("big", lambda: {f"big:{i}": os.urandom(50_000) for i in range(200)})
    before = raw.config_get("maxmemory*")
    raw.config_set("maxmemory-policy", "noeviction")
    raw.config_set("maxmemory", raw.info("memory")["used_memory"] + 200_000)
    try:
        operation = start(keeper, "big")
    finally:
        raw.config_set("maxmemory-policy", before["maxmemory-policy"])
        raw.config_set("maxmemory", before["maxmemory"])
    assert operation.state == "failed"
    assert "default: the server's memory is full" in operation.error


@database
def test_the_last_run_of_each_warmer(make: Make, keeper: User) -> None:
    make("home", lambda: {"home": 1})
    make("products", lambda: {f"product:{i}": i for i in range(7)})
    assert warmed.last({"home", "products"}) == {}
    start(keeper, "products")
    assert warmed.expected(["home", "products"]) == 0, "nobody knows of home"
    assert warm.plan(["products"]).keys == 7
    start(keeper, "home", "products")
    make("broken", broken)
    start(keeper, "broken")
    last = warmed.last({"home", "products", "broken"})
    assert [(name, last[name].state, last[name].written) for name in sorted(last)] == [
        ("broken", "failed", 0),
        ("home", "done", 1),
        ("products", "done", 7),
    ]
    assert warmed.expected(["home", "products"]) == 8


@database
@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ([Target.glob("product:*")], ["products", "all"]),
        ([Target.glob("*:1")], ["products", "home", "all"]),
        ([Target.literal("home:1")], ["home", "all"]),
        ([Target.template(b"product:\x00")], ["products", "all"]),
        ([Target.alias()], ["products", "home", "all"]),
        ([Target.glob("user:*")], ["all"]),
        ([Target.glob("user:1"), Target.glob("*:user:1:*")], ["all"]),
    ],
)
def test_the_warmers_of_what_was_dropped(
    make: Make, keeper: User, cache: Any, targets: list[Target], names: list[str]
) -> None:
    make("products", patterns=["product:*"])
    make("home", patterns=["home:*", "menu"])
    make("elsewhere", patterns=["*"], alias="core")
    make("untold")
    make("all", patterns=["*"])
    cache.set_many({"product:1": 1, "home:1": 1, "user:1": 1})
    operation = runner.start(purge.plan("default", targets, keeper), keeper)
    assert operation.done_keys
    assert [one.name for one in warm.dropped_by(operation)] == names


@database
def test_nothing_dropped_needs_no_warming(make: Make, keeper: User) -> None:
    make("all", patterns=["*"])
    operation = runner.start(purge.plan("default", [Target.glob("product:*")], keeper), keeper)
    assert operation.done_keys == 0
    assert warm.dropped_by(operation) == ()


def expire_lease() -> None:
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

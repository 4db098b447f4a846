"""A look at values reads some of every pattern, tells what nobody can read, and leaves everything as it is."""

from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path

import pytest
import redis
from django.contrib.auth.models import User
from django.core.cache import caches

from cache_admin.adapters import adapter, servers
from cache_admin.exceptions import Unsupported
from cache_admin.keyspace import unreadable
from cache_admin.keyspace.samples import PER_PATTERN
from cache_admin.keyspace.unreadable import ValuesReport
from cache_admin.models import Operation, ValueReport
from cache_admin.operations import driving, runner, values
from cache_admin.operations.base import Cancelled

from .conftest import grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def looker(db: None) -> User:
    return grant(User.objects.create_user("lena", is_staff=True), "view_cache", "view_values")


@pytest.fixture
def shop(raw: redis.Redis, tmp_path: Path) -> redis.Redis:
    """Readable products, baskets of a class that is gone, and one value that would run a command."""
    caches["default"].set_many({f"product:{i}": {"name": f"P{i}", "text": "x" * 500} for i in range(200)}, 3600)
    pipe = raw.pipeline(transaction=False)
    gone = zlib.compress(b"\x80\x02cold_shop.models\nBasket\n)\x81.")
    for i in range(60):
        pipe.set(f"shop:1:basket:{i}", gone, ex=3600)
    pipe.set("shop:1:evil", b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(tmp_path / "marker"))
    pipe.set("shop:1:import:lock", "token")
    pipe.hset("shop:1:stats", mapping={"a": "1"})
    pipe.set("shop:2:product:1", "another version")
    pipe.rpush("celery", "job")
    pipe.execute()
    return raw


def look(user: User) -> tuple[Operation, ValuesReport]:
    operation = runner.start(values.plan("default"), user)
    report = unreadable.latest("default")
    assert report
    return operation, report


def test_it_names_what_nobody_can_read_with_an_example(shop: redis.Redis, looker: User, tmp_path: Path) -> None:
    operation, report = look(looker)
    assert (operation.state, operation.scanned, operation.done_keys) == ("done", 265, 0)
    assert report.complete
    assert report.looked_at == 2 * PER_PATTERN + 1
    found = {one.pattern: one for one in report.patterns}
    assert set(found) == {"basket:*", "evil"}
    basket = found["basket:*"]
    assert (basket.keys, basket.looked_at, basket.unreadable) == (60, PER_PATTERN, PER_PATTERN)
    (trouble,) = basket.troubles
    assert (trouble.code, trouble.detail, trouble.fatal, trouble.values) == (
        "module",
        "old_shop.models.Basket",
        True,
        20,
    )
    assert trouble.example.startswith(b"shop:1:basket:")
    assert [(one.code, one.detail) for one in found["evil"].troubles] == [("calls", "posix.system")]
    assert found["evil"].unreadable == 0
    assert not (tmp_path / "marker").exists()
    assert ValuesReport.from_json(report.to_json()) == report


def test_it_changes_nothing_and_its_reads_are_counted_as_our_own(shop: redis.Redis, looker: User) -> None:
    before = {key: (shop.dump(key), shop.pexpiretime(key)) for key in shop.scan_iter()}
    server = servers.at(adapter("default")._address())  # type: ignore[attr-defined]
    shop.config_resetstat()
    server.probes(forget=True)
    look(looker)
    stats = shop.info("stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == server.probes()
    assert stats["keyspace_hits"] > 0
    assert {key: (shop.dump(key), shop.pexpiretime(key)) for key in shop.scan_iter()} == before


def test_values_that_were_not_read_for_long_stay_so(shop: redis.Redis, looker: User) -> None:
    shop.execute_command("CLIENT", "NO-TOUCH", "ON")
    shop.execute_command("RESTORE", "shop:1:old:1", 0, shop.dump("shop:1:basket:1"), "IDLETIME", 5_000)
    look(looker)
    assert shop.object("idletime", "shop:1:old:1") >= 5_000


def test_it_goes_on_elsewhere_from_what_was_written_down(raw: redis.Redis, looker: User, monkeypatch) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    monkeypatch.setattr(values, "_DUMP_EVERY", 0.0)
    stored = pickle.dumps("x")
    for start in range(0, 10_000, 1_000):
        raw.mset({f"shop:1:a:{i}": stored for i in range(start, start + 1_000)})
    raw.mset({f"shop:1:b:{i}": b"not a pickle" for i in range(5)})

    class Killed(BaseException):
        pass

    def kill(row: Operation) -> None:
        if row.scanned >= 4_000:
            raise Killed

    operation, _ = runner.begin(values.plan("default"), looker)
    with pytest.raises(Killed):
        runner.run(operation, kill)
    ValueReport.objects.all().delete()
    Operation.objects.update(lease_until=None)
    raw.config_resetstat()
    operation = runner.poll(Operation.objects.get())
    assert (operation.state, operation.scanned) == ("done", 10_005)
    assert raw.info("commandstats")["cmdstat_scan"]["calls"] <= 7
    report = unreadable.latest("default")
    assert report
    assert report.looked_at == PER_PATTERN + 5
    assert [(one.pattern, one.unreadable) for one in report.patterns] == [("b:*", 5)]


def test_a_cancelled_look_keeps_what_it_saw(raw: redis.Redis, looker: User, monkeypatch) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    for start in range(0, 10_000, 1_000):
        raw.mset({f"shop:1:a:{i}": b"not a pickle" for i in range(start, start + 1_000)})

    def stop(row: Operation) -> None:
        if row.scanned >= 4_000:
            raise Cancelled("Enough.")

    operation, _ = runner.begin(values.plan("default"), looker)
    assert runner.run(operation, stop).state == "cancelled"
    report = unreadable.latest("default")
    assert report
    assert not report.complete
    assert report.unreadable == PER_PATTERN


def test_it_stops_at_its_bounds(raw: redis.Redis, looker: User, monkeypatch) -> None:
    monkeypatch.setattr(values, "MOST_VALUES", 30)
    raw.mset({f"shop:1:{name * 4}:{i}": b"not a pickle" for name in "abcdefg" for i in range(40)})
    _operation, report = look(looker)
    assert (report.looked_at, report.complete) == (30, False)


def test_large_values_are_read_in_part(raw: redis.Redis, looker: User) -> None:
    raw.set("shop:1:big", pickle.dumps(["x" * 1_000] * 5 + [os.urandom(3_000_000)]))
    before = raw.info("stats")["total_net_output_bytes"]
    _operation, report = look(looker)
    assert (report.looked_at, report.unreadable) == (1, 0)
    assert raw.info("stats")["total_net_output_bytes"] - before < 200_000


def test_only_the_last_looks_are_kept(shop: redis.Redis, looker: User) -> None:
    _operation, report = look(looker)
    for _i in range(unreadable.KEEP + 3):
        unreadable.save(report)
    assert ValueReport.objects.filter(alias="default").count() == unreadable.KEEP


def test_what_another_version_stored_is_passed_over(shop: redis.Redis, looker: User, caplog) -> None:
    look(looker)
    ValueReport.objects.update(report={"alias": "default"})
    assert unreadable.latest("default") is None
    assert "cannot be read" in caplog.text


def test_a_cache_that_lists_nothing_cannot_be_looked_at() -> None:
    with pytest.raises(Unsupported):
        values.plan("locmem")


def test_whoever_may_not_see_values_cannot_start_it(shop: redis.Redis, operator: User) -> None:
    with pytest.raises(Exception, match="may not"):
        runner.start(values.plan("default"), operator)

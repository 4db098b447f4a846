from __future__ import annotations

import json
import threading

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from embedded import Server, running

from cache_admin import patterns
from cache_admin.adapters import adapter
from cache_admin.exceptions import InvalidPattern
from cache_admin.models import Operation
from cache_admin.operations import driving, runner
from cache_admin.operations.base import Plan
from cache_admin.operations.purge import plan
from cache_admin.operations.targets import Target

from .conftest import grant, wait_for

pytestmark = pytest.mark.django_db
SESSION = "django.contrib.sessions.cache" + "x" * 32


def fill(raw: redis.Redis, *keys: str, value: bytes = b"v" * 100, head: str = "shop:1:") -> None:
    pipeline = raw.pipeline(transaction=False)
    for key in keys:
        pipeline.set(head + key, value)
    pipeline.execute()


def numbered(start: str, count: int, end: str = "") -> list[str]:
    return [f"{start}{number}{end}" for number in range(count)]


def dumps(raw: redis.Redis, *, without: str = "") -> dict[bytes, bytes]:
    return {key: raw.dump(key) for key in raw.keys("*") if not (without and key.startswith(without.encode()))}


@pytest.fixture
def shop(raw: redis.Redis) -> redis.Redis:
    """Products, their reviews, others, and keys of other owners in the same database."""
    fill(raw, *numbered("product:", 2500), *numbered("product:", 300, ":reviews"), "home", "product[1]")
    fill(raw, "other:1", head="long:1:")
    fill(raw, "product:1", head="shop:2:")
    raw.rpush("celery", b"task 1", b"task 2")
    raw.hset("unacked", "a", "b")
    raw.sadd("_kombu.binding.celery", b"x")
    return raw


def test_a_plan_counts_without_changing_anything(shop: redis.Redis, operator: User) -> None:
    before = dumps(shop)
    found = plan("default", [Target.glob("product:*")], operator)
    assert dumps(shop) == before
    assert (found.kind, found.keys, found.exact, found.globs) == ("purge", 2800, True, ("shop:1:product:*",))
    assert found.size == sum(shop.memory_usage(key) for key in shop.keys("shop:1:product:*"))
    assert {(share.pattern, share.keys) for share in found.going} == {("product:*", 2500), ("product:*:reviews", 300)}
    assert all(example in before for share in found.going for example in share.examples)
    assert found.total == found.scanned == shop.dbsize()
    assert "2,800 keys" in found.sentence
    assert "product:* from default" in found.sentence


def test_a_listed_pattern_says_what_stays(shop: redis.Redis, operator: User) -> None:
    found = plan("default", [Target.template(patterns.fold(b"product:7"))], operator)
    assert found.keys == 2500
    assert [(share.pattern, share.keys) for share in found.staying] == [("product:*:reviews", 300)]
    assert found.sentence.endswith("; 300 keys of product:*:reviews stay.")


def test_exactly_what_the_plan_listed_is_deleted(shop: redis.Redis, operator: User) -> None:
    before = dumps(shop)
    found = plan("default", [Target.template(patterns.fold(b"product:7"))], operator)
    operation = runner.start(found, operator, "prices are stale")
    gone = {key for key in before if key.startswith(b"shop:1:product:") and key.rpartition(b":")[2].isdigit()}
    assert len(gone) == 2500
    assert dumps(shop) == {key: value for key, value in before.items() if key not in gone}
    assert operation.state == "done"
    assert (operation.done_keys, operation.done_bytes) == (found.keys, found.size)
    assert operation.scanned == operation.total == len(before)
    assert json.dumps(operation.params)


def test_several_targets_go_in_one_pass(shop: redis.Redis, operator: User) -> None:
    targets = [Target.glob("product:*:reviews"), Target.literal("home"), Target.literal("product[1]")]
    found = plan("default", targets, operator)
    assert found.keys == 302
    shop.config_resetstat()
    operation = runner.start(found, operator)
    assert operation.done_keys == 302
    assert shop.info("commandstats")["cmdstat_scan"]["calls"] <= 2 + shop.dbsize() // 1000 + 1
    assert len(shop.keys("shop:1:*")) == 2500


def test_exact_keys_need_no_scan(shop: redis.Redis, operator: User) -> None:
    found = plan("default", [Target.literal("home"), Target.literal("nowhere")], operator)
    assert (found.keys, found.exact) == (1, True)
    shop.config_resetstat()
    assert runner.start(found, operator).done_keys == 1
    assert "cmdstat_scan" not in shop.info("commandstats")
    assert not shop.exists("shop:1:home")


def test_clearing_an_alias_leaves_every_other_key_byte_identical(shop: redis.Redis, operator: User) -> None:
    others = dumps(shop, without="shop:1:")
    assert {b"celery", b"unacked", b"_kombu.binding.celery", b"shop:2:product:1", b"long:1:other:1"} <= others.keys()
    found = plan("default", [Target.alias()], operator)
    assert found.typed_name == "default"
    assert any("empties the alias default" in warning for warning in found.warnings)
    assert runner.start(found, operator).done_keys == 2802
    assert dumps(shop) == others


def test_a_star_alone_is_the_whole_alias(shop: redis.Redis, operator: User) -> None:
    assert plan("default", [Target.glob("***")], operator).typed_name == "default"


def test_many_keys_ask_for_the_typed_name(shop: redis.Redis, operator: User, settings) -> None:
    assert plan("default", [Target.glob("product:*")], operator).typed_name == ""
    settings.CACHE_ADMIN = {"RUNNER": "inline", "TYPED_CONFIRMATION_KEYS": 2_000}
    assert plan("default", [Target.glob("product:*")], operator).typed_name == "default"


def test_protected_keys_stay_and_are_counted(raw: redis.Redis, operator: User) -> None:
    fill(raw, "a", "b", SESSION)
    found = plan("default", [Target.glob("*")], operator)
    assert found.keys == 2
    assert [(share.keys, share.protected, share.family) for share in found.staying] == [(1, True, "session")]
    operation = runner.start(found, operator)
    assert (operation.done_keys, operation.skipped_keys) == (2, 1)
    assert raw.keys("*") == [f"shop:1:{SESSION}".encode()]


def test_protected_keys_go_with_the_permission_and_the_wish(raw: redis.Redis, operator: User) -> None:
    fill(raw, "a", SESSION)
    with pytest.raises(PermissionDenied):
        plan("default", [Target.glob("*")], operator, include_protected=True)
    boss = grant(operator, "invalidate_protected")
    found = plan("default", [Target.glob("*")], boss, include_protected=True)
    assert (found.keys, found.staying) == (2, ())
    boss.user_permissions.remove(Permission.objects.get(codename="invalidate_protected"))
    with pytest.raises(PermissionDenied):
        runner.start(found, User.objects.get(pk=boss.pk))
    assert raw.dbsize() == 2
    grant(boss, "invalidate_protected")
    assert runner.start(found, User.objects.get(pk=boss.pk)).done_keys == 2


def test_purging_the_sessions_warns_of_the_own_logout(raw: redis.Redis, operator: User, settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "default"
    fill(raw, SESSION)
    boss = grant(operator, "invalidate_protected")
    found = plan("default", [Target.glob("django.contrib.sessions*")], boss, include_protected=True)
    assert found.typed_name == "default"
    assert any("you too" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("nothing:*", "prefix shop:1:"),
        ("shop:1:product:*", "Leave it out"),
        ("long:1:other:*", "belong to the alias json"),
        ("..:2:*", "prefix shop:1:"),
    ],
)
def test_a_pattern_that_matches_nothing_gets_a_hint(shop: redis.Redis, operator: User, typed: str, hint: str) -> None:
    found = plan("default", [Target.glob(typed)], operator)
    assert found.keys == 0
    assert any(hint in warning for warning in found.warnings)
    assert runner.start(found, operator).done_keys == 0


def test_an_alias_that_cannot_be_loaded_keeps_no_hint_of_another_back(
    shop: redis.Redis, operator: User, settings
) -> None:
    settings.CACHES = {"broken": {"BACKEND": "no.such.Cache"}, **settings.CACHES}
    found = plan("default", [Target.glob("long:1:other:*")], operator)
    assert any("belong to the alias json" in warning for warning in found.warnings)


def test_without_the_permission_there_is_no_plan(raw: redis.Redis) -> None:
    with pytest.raises(PermissionDenied):
        plan("default", [Target.glob("*")], User.objects.create_user("nobody", is_staff=True))


@pytest.mark.parametrize("over", [0, -1, 10**9])
def test_an_absurd_time_is_refused(operator: User, over: int) -> None:
    with pytest.raises(InvalidPattern):
        plan("default", [Target.glob("a")], operator, over=over)


def test_past_its_budget_a_plan_is_an_estimate_that_says_so(raw: redis.Redis, operator: User) -> None:
    fill(raw, *numbered("a:", 6_000), *numbered("b:", 14_000))
    found = plan("default", [Target.glob("a:*")], operator, budget_ms=0)
    assert not found.exact
    assert found.scanned < found.total
    assert 4_500 < found.keys < 7_500
    assert "≈" in found.sentence
    assert any("95 % interval" in warning for warning in found.warnings)
    assert sum(share.keys for share in found.going) == found.keys


def test_other_caches_delete_exact_keys_only(operator: User) -> None:
    caches["locmem"].clear()
    caches["locmem"].set_many({"a": 1, "b": 2})
    found = plan("locmem", [Target.literal("a"), Target.literal("c")], operator)
    assert found.keys == 1
    assert runner.start(found, operator).done_keys == 1
    assert caches["locmem"].get_many(["a", "b"]) == {"b": 2}


def test_running_it_twice_is_harmless(shop: redis.Redis, operator: User) -> None:
    found = plan("default", [Target.glob("product:*")], operator)
    runner.start(found, operator)
    before = dumps(shop)
    again = runner.start(found, operator)
    assert (again.state, again.done_keys) == ("done", 0)
    assert dumps(shop) == before


def test_a_writer_that_is_faster_than_the_purge_makes_it_stop_and_ask(raw: redis.Redis, operator: User) -> None:
    fill(raw, "a:1")
    found = plan("default", [Target.glob("a:*")], operator)
    fill(raw, *numbered("a:", 30_000))
    operation = runner.start(found, operator)
    assert operation.state == "interrupted"
    assert 10_003 <= operation.done_keys < 10_003 + 500
    assert operation.done_keys == 30_000 - raw.dbsize()
    assert "far more than the 1 planned" in operation.error
    operation = runner.resume(operation, operator)
    assert operation.state == "interrupted", "a resumed one asks again after as many"
    assert 20_006 <= operation.done_keys < 20_006 + 500
    operation = runner.resume(operation, operator)
    assert (operation.state, operation.done_keys, raw.dbsize()) == ("done", 30_000, 0)


def test_a_permission_lost_between_two_batches_stops_the_purge(raw: redis.Redis, operator: User, monkeypatch) -> None:
    monkeypatch.setattr(driving, "TICK", 0.0)
    fill(raw, *numbered("a:", 5_000))
    found = plan("default", [Target.glob("a:*")], operator)
    operation, _ = runner.begin(found, operator)

    def revoke(row: Operation) -> None:
        if row.done_keys >= 1_000:
            operator.user_permissions.clear()

    operation = runner.run(operation, revoke)
    assert operation.state == "refused"
    assert operation.done_keys == 5_000 - raw.dbsize() < 5_000


def test_clients_adding_and_removing_keys_meanwhile_do_no_harm(
    raw: redis.Redis, operator: User, server: Server
) -> None:
    fill(raw, *numbered("a:", 8_000), *numbered("b:", 8_000))
    found = plan("default", [Target.glob("a:*")], operator)
    stop = threading.Event()

    def churn() -> None:
        client = redis.Redis.from_url(server.url)
        number = 0
        while not stop.is_set():
            number += 1
            client.delete(f"shop:1:a:{number}")
            client.set(f"shop:1:c:{number}", b"x")
        client.close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        operation = runner.start(found, operator)
    finally:
        stop.set()
        thread.join()
    assert operation.state == "done"
    assert not raw.keys("shop:1:a:*")
    assert len(raw.keys("shop:1:b:*")) == 8_000


@pytest.fixture
def own_server(settings) -> Server:
    """A server of the test's own behind the alias ``own``."""
    with running() as started:
        settings.CACHES = {
            **settings.CACHES,
            "own": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": started.url},
        }
        yield started


def planned(operator: User, client: redis.Redis, count: int = 5_000) -> Plan:
    fill(client, *numbered("a:", count), head=":1:")
    return plan("own", [Target.glob("a:*")], operator)


@pytest.mark.servers
def test_a_server_killed_in_the_middle_leaves_an_exact_count_and_a_way_on(operator: User, own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    found = planned(operator, client)
    left: list[int] = []

    def kill(row: Operation) -> None:
        if row.done_keys >= 1_000 and not left:
            left.append(client.dbsize())
            own_server.kill()

    operation, _ = runner.begin(found, operator)
    operation = runner.run(operation, kill)
    assert operation.state == "interrupted"
    assert operation.done_keys == 5_000 - left[0]
    assert "own" in operation.error
    own_server.socket.unlink(missing_ok=True)
    own_server.start()
    fill(client, *numbered("a:", 1_500), head=":1:")
    wait_for(lambda: adapter("own").nodes() and _answers())
    operation = runner.resume(operation, operator)
    assert (operation.state, operation.done_keys) == ("done", 5_000 - left[0] + 1_500)
    assert client.dbsize() == 0
    client.close()


def _answers() -> bool:
    try:
        return adapter("own").count() >= 0
    except Exception:
        return False


@pytest.mark.servers
def test_a_replica_refuses_and_nothing_is_deleted(operator: User, own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    found = planned(operator, client, 100)
    client.replicaof("127.0.0.1", 1)
    operation = runner.start(found, operator)
    assert (operation.state, operation.done_keys, client.dbsize()) == ("failed", 0, 100)
    assert "replica" in operation.error
    client.close()


@pytest.mark.servers
def test_a_server_that_cannot_save_refuses_and_nothing_is_deleted(operator: User, own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    found = planned(operator, client, 100)
    client.config_set("min-replicas-to-write", 1)
    operation = runner.start(found, operator)
    assert (operation.state, operation.done_keys, client.dbsize()) == ("failed", 0, 100)
    assert operation.error
    client.close()


@pytest.mark.servers
def test_a_full_server_still_deletes(operator: User, own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    found = planned(operator, client, 1_000)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1mb")
    operation = runner.start(found, operator)
    assert (operation.state, operation.done_keys) == ("done", 1_000)
    client.close()


@pytest.mark.servers
def test_what_a_server_without_unlink_keeps_stands_in_the_audit(operator: User, settings) -> None:
    with running(options=['rename-command UNLINK ""']) as server, redis.Redis.from_url(server.url) as client:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {**settings.CACHES, "old": {"BACKEND": backend, "LOCATION": server.url}}
        client.set(":1:a:1", "x")
        client.sadd(":1:a:2", *range(20_000))
        operation = runner.start(plan("old", [Target.glob("a:*")], operator), operator)
        assert (operation.state, operation.done_keys, client.keys()) == ("done", 1, [b":1:a:2"])
    assert "1 large collections were left" in operation.error


@pytest.mark.servers
def test_an_account_without_unlink_is_told_the_command(operator: User, own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    found = planned(operator, client, 100)
    client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-unlink", "-del"])
    client.client_kill_filter(_type="normal", skipme=True)
    operation = runner.start(found, operator)
    assert (operation.state, operation.done_keys, client.dbsize()) == ("failed", 0, 100)
    assert "unlink" in operation.error
    client.close()

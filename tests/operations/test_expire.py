from __future__ import annotations

import pytest
import redis
from django.contrib.auth.models import User

from cache_admin.operations import runner
from cache_admin.operations.expire import milliseconds
from cache_admin.operations.purge import plan
from cache_admin.operations.targets import Target

pytestmark = pytest.mark.django_db


def test_keys_expire_spread_over_the_time(raw: redis.Redis, operator: User) -> None:
    keys = [f"shop:1:a:{number}" for number in range(2_000)]
    raw.mset(dict.fromkeys(keys, b"v"))
    raw.set("shop:1:b", b"v")
    found = plan("default", [Target.glob("a:*")], operator, over=600)
    assert found.kind == "expire"
    assert "over 600 seconds" in found.sentence
    operation = runner.start(found, operator)
    assert (operation.state, operation.done_keys) == ("done", 2_000)
    lives = [raw.pttl(key) for key in keys]
    assert all(life == -2 or 0 <= life <= 600_001 for life in lives), "one that is gone already had a short life"
    tenths = [sum(1 for life in lives if max(0, life) // 60_000 == tenth) for tenth in range(10)]
    assert all(120 < number < 280 for number in tenths), tenths
    assert raw.pttl("shop:1:b") == -1


def test_no_life_is_ever_lengthened_and_a_second_run_changes_little(raw: redis.Redis, operator: User) -> None:
    raw.set("shop:1:a:1", b"v", px=500)
    raw.set("shop:1:a:2", b"v")
    found = plan("default", [Target.glob("a:*")], operator, over=100_000)
    assert runner.start(found, operator).done_keys == 1
    assert raw.pttl("shop:1:a:1") <= 500
    before = raw.pttl("shop:1:a:2")
    runner.start(found, operator)
    assert raw.pttl("shop:1:a:2") <= before


def test_the_moment_of_a_key_is_always_the_same() -> None:
    assert milliseconds(b"a", 60) == milliseconds(b"a", 60)
    assert 1 <= milliseconds(b"a", 1) <= 1_001


def test_protected_keys_keep_their_life(raw: redis.Redis, operator: User) -> None:
    session = "shop:1:django.contrib.sessions.cache" + "x" * 32
    raw.set(session, b"v")
    operation = runner.start(plan("default", [Target.glob("*")], operator, over=10), operator)
    assert (operation.done_keys, operation.skipped_keys, raw.pttl(session)) == (0, 1, -1)


def test_a_cache_without_a_way_to_do_it_says_so(operator: User) -> None:
    operation = runner.start(plan("locmem", [Target.literal("a")], operator, over=10), operator)
    assert operation.state == "failed"
    assert "cannot" in operation.error

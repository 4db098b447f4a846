from __future__ import annotations

import pytest
import redis
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.exceptions import PermissionDenied

from cache_admin.exceptions import InvalidPattern
from cache_admin.models import Operation
from cache_admin.operations.edit import apply

from .conftest import grant

pytestmark = pytest.mark.django_db
SESSION = b"shop:1:django.contrib.sessions.cache" + b"x" * 32


def test_deleting_one_key_is_audited(raw: redis.Redis, operator: User) -> None:
    raw.set("shop:1:a*", b"v")
    raw.set("shop:1:ab", b"v")
    operation = apply("default", "delete", b"shop:1:a*", operator, "wrong price")
    assert (operation.state, operation.done_keys, operation.reason) == ("done", 1, "wrong price")
    assert operation.done_bytes > 0
    assert "shop:1:a*" in operation.summary
    assert raw.keys("*") == [b"shop:1:ab"]


def test_a_key_that_is_gone_already_is_no_error(raw: redis.Redis, operator: User) -> None:
    for verb in ("delete", "persist"):
        operation = apply("default", verb, b"shop:1:a", operator)
        assert (operation.state, operation.done_keys) == ("done", 0)
    assert apply("default", "expire", b"shop:1:a", operator, seconds=5).done_keys == 0


def test_an_expiry_is_set_and_removed(raw: redis.Redis, operator: User) -> None:
    raw.set("shop:1:a", b"v")
    assert apply("default", "expire", b"shop:1:a", operator, seconds=90).done_keys == 1
    assert 85 <= raw.ttl("shop:1:a") <= 90
    assert apply("default", "persist", b"shop:1:a", operator).done_keys == 1
    assert raw.ttl("shop:1:a") == -1


@pytest.mark.parametrize("seconds", [None, 0, -5, 10**9])
def test_an_absurd_expiry_is_refused(raw: redis.Redis, operator: User, seconds: int | None) -> None:
    with pytest.raises(InvalidPattern):
        apply("default", "expire", b"shop:1:a", operator, seconds=seconds)
    assert not Operation.objects.exists()


@pytest.mark.parametrize("key", [b"celery\x06\x163", b"shop:2:a", b"long:1:a", b"_kombu.binding.celery", b""])
def test_the_keys_of_others_cannot_be_touched(raw: redis.Redis, operator: User, key: bytes) -> None:
    raw.set(key, b"v")
    with pytest.raises(PermissionDenied):
        apply("default", "delete", key, operator)
    assert raw.exists(key)


def test_a_key_with_undecodable_bytes_can_be_deleted(raw: redis.Redis, operator: User) -> None:
    raw.set(b"shop:1:\xff\xfe\x00", b"v")
    operation = apply("default", "delete", b"shop:1:\xff\xfe\x00", operator)
    assert operation.done_keys == 1
    assert "\\xff\\xfe\\x00" in operation.summary


def test_protected_keys_need_a_permission_of_their_own(raw: redis.Redis, operator: User) -> None:
    raw.set(SESSION, b"v")
    with pytest.raises(PermissionDenied):
        apply("default", "delete", SESSION, operator)
    assert raw.exists(SESSION)
    assert apply("default", "delete", SESSION, grant(operator, "invalidate_protected")).done_keys == 1


def test_each_verb_needs_its_permission(raw: redis.Redis) -> None:
    raw.set("shop:1:a", b"v")
    purger = grant(User.objects.create_user("purger"), "invalidate")
    changer = grant(User.objects.create_user("changer"), "change_keys")
    with pytest.raises(PermissionDenied):
        apply("default", "persist", b"shop:1:a", purger)
    with pytest.raises(PermissionDenied):
        apply("default", "delete", b"shop:1:a", changer)
    assert raw.ttl("shop:1:a") == -1


def test_other_caches_delete_by_user_key(operator: User) -> None:
    caches["locmem"].set("a", 1)
    assert apply("locmem", "delete", "a", operator).done_keys == 1
    assert caches["locmem"].get("a") is None
    assert apply("locmem", "expire", "a", operator, seconds=5).state == "failed"

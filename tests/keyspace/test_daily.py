"""Once a day and by one process, each alias is sampled for its growth."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from django.db import connection
from embedded import running

from cache_admin.keyspace import daily, growth
from cache_admin.keyspace.reports import current, forget
from cache_admin.models import Growth, Lease

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_known(raw: redis.Redis) -> Iterator[None]:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(50)})
    daily.forget()
    forget()
    yield
    daily.forget()


def rounds() -> list[str]:
    return [alias for alias in iter(daily.remember_one, None) if alias]


def test_each_alias_that_can_list_gets_one_look_a_day(raw: redis.Redis) -> None:
    assert rounds() == ["default", "core", "json"]
    assert Growth.objects.get(alias="default").contents["product:*"][0] == 50
    raw.flushall()
    daily.forget()
    assert rounds() == []
    Growth.objects.update(day=Growth.objects.first().day - timedelta(days=1))  # type: ignore[union-attr]
    Lease.objects.all().delete()
    daily.forget()
    assert rounds() == ["default", "core", "json"]
    assert Growth.objects.count() == 6


def test_what_was_scanned_today_is_left_alone() -> None:
    growth.remember(current("default"))
    assert "default" not in rounds()


def test_another_process_that_does_it_is_left_alone() -> None:
    Lease.objects.create(name="growth:default", owner="elsewhere", until=time.time() + 100)
    assert "default" not in rounds()
    assert not Growth.objects.filter(alias="default").exists()


def test_without_sampling_nothing_is_looked_at(settings) -> None:
    settings.CACHE_ADMIN = {"SAMPLING": False}
    assert rounds() == []


def test_a_silent_server_is_tried_again_and_costs_the_others_nothing(settings) -> None:
    with running() as own:
        path = own.url
    django_redis = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"gone": {"BACKEND": django_redis, "LOCATION": path}, **settings.CACHES}
    assert rounds() == ["default", "core", "json"]
    assert "gone" not in daily._done


def test_without_the_tables_it_does_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cache_admin_growth RENAME TO elsewhere")
    assert daily.remember_one() is None

"""Statistics by day and by object."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.utils import timezone

from cache_admin.caching import MISS, StatisticsCache, statistic
from cache_admin.caching.statistics import end_of_day, local_day

UTC = datetime.UTC
PAST = datetime.date(2024, 5, 1)


class Clock:
    """``time.time`` and Django's ``now``, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def set(self, moment: datetime.datetime) -> None:
        self.patch.setattr(timezone, "now", lambda: moment)
        self.patch.setattr("time.time", moment.timestamp)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Clock:
    """A clock, and a site in New York."""
    settings.TIME_ZONE = "America/New_York"
    return Clock(monkeypatch)


def counted(result: Any = None, **options: Any) -> Any:
    calls: list[Any] = []

    @statistic(**options)
    def sales(day: datetime.date, shop: str = "all") -> Any:
        calls.append(day)
        return len(calls) if result is None else result[0]

    sales.calls = calls
    return sales


@pytest.mark.parametrize("result", [None, 0, [], {}])
def test_nothing_is_a_result(kind: str, result: Any) -> None:
    calls = []
    stats = StatisticsCache(kind)

    @statistic(alias=kind)
    def sales(day: datetime.date) -> Any:
        calls.append(day)
        return result

    for _ in range(2):
        assert sales(PAST) == result
        assert stats.by_day("sales", lambda day: calls.append(day) or result, PAST) == result
        assert stats.by_object("value", 5, lambda pk: calls.append(pk) or result) == result
    assert calls == [PAST, PAST, 5]


def test_recalculate(kind: str) -> None:
    sales = counted(alias=kind)
    assert [sales(PAST), sales(PAST), sales(PAST, recalculate=True), sales(PAST)] == [1, 1, 2, 2]
    stats, numbers = StatisticsCache(kind), iter(range(9))
    got = [stats.by_object("value", 5, lambda pk: next(numbers), recalculate=again) for again in (False, True, False)]
    assert got == [0, 1, 1]


def test_past_days_live_longer_than_today(raw: Any) -> None:
    sales = counted(timeout=300, past_timeout=86_400)
    sales()
    sales(PAST)
    assert 290 <= caches["default"].ttl(sales.key()) <= 300
    assert 86_300 <= caches["default"].ttl(sales.key(PAST)) <= 86_400
    StatisticsCache(timeout=300, past_timeout=86_400).by_day("sales", lambda day: 1, PAST)
    assert caches["default"].ttl("statistics:sales:day:2024-05-01") > 86_000


def test_today_is_the_day_of_the_site(local: str, clock: Clock) -> None:
    clock.set(datetime.datetime(2024, 5, 2, 3, 30, tzinfo=UTC))  # 23:30 on the first in New York
    sales = counted(alias=local)
    sales()
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        sales()
        sales(None)
        sales(day=datetime.datetime(2024, 5, 2, 3, 59, tzinfo=UTC))
        sales(datetime.date(2024, 5, 1), "all")
    assert sales.calls == [datetime.date(2024, 5, 1)]
    assert "day:2024-05-01" in sales.key()


def test_it_is_computed_under_the_time_zone_of_the_site(local: str, clock: Clock) -> None:
    zones = []

    @statistic(alias=local)
    def sales(day: datetime.date) -> None:
        zones.append(timezone.get_current_timezone_name())

    with timezone.override(ZoneInfo("Asia/Tokyo")):
        sales()
        StatisticsCache(local).by_day("zone", lambda day: zones.append(timezone.get_current_timezone_name()))
        assert timezone.get_current_timezone_name() == "Asia/Tokyo"
    assert zones == ["America/New_York"] * 2


def test_what_was_computed_during_the_day_is_not_the_whole_day(local: str, clock: Clock) -> None:
    day = datetime.date(2024, 5, 1)
    clock.set(datetime.datetime(2024, 5, 2, 3, 59, tzinfo=UTC))
    sales = counted(alias=local, timeout=3600)
    stats, numbers = StatisticsCache(local, timeout=3600), iter(range(1, 9))
    by_day = lambda: stats.by_day("n", lambda day: next(numbers), day)  # noqa: E731
    assert [sales(day), sales(day), by_day(), by_day()] == [1, 1, 1, 1]
    clock.set(datetime.datetime(2024, 5, 2, 4, 1, tzinfo=UTC))  # a minute past midnight in New York
    assert [sales(day), sales(day), by_day(), by_day()] == [2, 2, 2, 2]


def test_the_end_of_a_day_knows_daylight_saving(settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    assert end_of_day(datetime.date(2024, 3, 10)) == datetime.datetime(2024, 3, 11, 4, tzinfo=UTC).timestamp()
    assert end_of_day(datetime.date(2024, 3, 9)) == datetime.datetime(2024, 3, 10, 5, tzinfo=UTC).timestamp()


def test_sites_without_time_zones(settings: Any) -> None:
    settings.USE_TZ = False
    assert local_day() == datetime.date.today()
    assert local_day(datetime.datetime(2024, 5, 1, 23, 59)) == PAST
    assert end_of_day(PAST) == datetime.datetime(2024, 5, 2).timestamp()


@pytest.mark.django_db
def test_by_object(kind: str, django_assert_num_queries: Any) -> None:
    group, calls = Group.objects.create(name="staff"), []

    @statistic(alias=kind)
    def members(group: Group) -> Any:
        calls.append(group.pk)
        return Group.objects.filter(pk=group.pk)

    assert members(group) == [group]
    with django_assert_num_queries(kind == "table"):  # the cache itself
        assert members(group) == [group]
    assert members.invalidate(group) is True
    assert members.peek(group) is MISS
    assert StatisticsCache(kind).by_object("members", group, lambda group: Group.objects.all()) == [group]


def test_coroutines(kind: str) -> None:
    calls = []

    @statistic(alias=kind)
    async def sales(day: datetime.date) -> int:
        calls.append(timezone.get_current_timezone_name())
        return len(calls)

    async def ask() -> list[int]:
        return [await sales(), await sales(local_day()), await sales(recalculate=True), await sales()]

    assert asyncio.run(ask()) == [1, 1, 2, 2]


def test_statistics_without_a_function_of_their_own_in_async_code(kind: str) -> None:
    zones = []
    stats = StatisticsCache(kind)

    async def compute(of: Any) -> None:
        zones.append((of, timezone.get_current_timezone_name()))

    async def ask() -> list[Any]:
        got = [await stats.aby_day("n", compute, PAST), await stats.aby_day("n", compute, PAST)]
        got.append(await stats.aby_day("n", compute, PAST, recalculate=True))
        return [*got, await stats.aby_object("v", 5, lambda pk: pk * 2), await stats.aby_object("v", 5, compute)]

    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert asyncio.run(ask()) == [None, None, None, 10, 10]
    assert zones == [(PAST, timezone.get_default_timezone_name())] * 2
    assert stats.by_day("n", lambda day: "computed again", PAST) is None
    assert stats.by_object("v", 5, lambda pk: "computed again") == 10


def test_recalculate_is_taken() -> None:
    with pytest.raises(TypeError, match="recalculate is taken"):

        @statistic()
        def sales(day: datetime.date, recalculate: bool = False) -> None: ...

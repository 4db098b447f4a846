"""Whose key it is, and the same value computed again."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.core.cache import caches

from cache_admin.caching import cache_result, owners, statistic
from cache_admin.caching.calls import read_call, written
from cache_admin.caching.envelope import opened
from cache_admin.caching.owners import Owner, owner_of, register


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_owners", {})


def test_functions_own_their_keys_and_their_locks() -> None:
    @cache_result(60)
    def popular(limit: int = 5) -> None: ...

    @cache_result(60)
    def popular_products() -> None: ...

    @cache_result(60, key="user:{user.pk}:stats", alias="core")
    def stats(user: Any) -> None: ...

    @statistic(key="sales", alias="core")
    def sales(day: datetime.date) -> None: ...

    assert owner_of("default", popular.key()) is popular.owner
    assert owner_of("default", popular.key("x" * 300)) is popular.owner
    assert owner_of("default", popular.key() + ":lock") is popular.owner
    assert owner_of("default", popular_products.key()) is popular_products.owner
    assert owner_of("core", popular.key()) is None
    assert owner_of("core", "user:7:stats").name.endswith("stats")
    assert owner_of("core", "user:7:cart") is None
    assert owner_of("core", "sales:day:2024-05-01").kind == "statistic"
    assert [owner.alias for owner in owners.owners()] == ["default", "default", "core", "core"]


def test_the_pattern_that_says_most_wins() -> None:
    wide = register(Owner("wide", "view", "default", ("product:*",)))
    narrow = register(Owner("narrow", "view", "default", ("product:*:reviews", "other:*")))
    unknown = register(Owner("unknown", "function", "default", ()))
    assert owner_of("default", "product:5:reviews") is narrow
    assert owner_of("default", "product:5") is wide
    assert not unknown.owns("product:5")


def test_of_two_that_say_as_much_the_one_that_can_compute_is_named() -> None:
    register(Owner("fills", "warmer", "default", ("equal:*",)))
    register(Owner("computes", "function", "default", ("equal:*",), recompute=lambda key, call: 1))
    register(Owner("fills too", "warmer", "default", ("equal:*",)))
    found = owner_of("default", "equal:5")
    assert found
    assert found.name == "computes"


def test_decorating_again_replaces() -> None:
    for timeout in (1, 2):
        register(Owner("f", "function", "default", ("f:*",), timeout=timeout))
    assert [owner.timeout for owner in owners.owners("default")] == [2]


@pytest.mark.django_db
def test_a_value_is_computed_again_from_what_is_stored_beside_it(local: str) -> None:
    group = Group.objects.create(name="before")

    @cache_result(60, alias=local, tags=["g:{group.pk}"])
    def title(group: Group, day: datetime.date, *more: int, sign: str = "!") -> str:
        return f"{group.name} {day:%Y} {more}{sign}"

    assert title(group, datetime.date(2024, 5, 1), 1, 2) == "before 2024 (1, 2)!"
    Group.objects.update(name="after")
    key = title.key(group, datetime.date(2024, 5, 1), 1, 2)
    call = opened(caches[local].get(key)).call
    assert title.owner.recompute(key, call) == "after 2024 (1, 2)!"
    assert title(group, datetime.date(2024, 5, 1), 1, 2) == "before 2024 (1, 2)!"
    group.delete()
    with pytest.raises(LookupError, match="no longer in the database"):
        title.owner.recompute(key, call)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 5, 2.5, "text", [1, (2, "x")], ()),
        *(datetime.date(2024, 5, 1), datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC)),
        *(Decimal("1.50"), UUID(int=5), Group),
    ],
)
def test_arguments_come_back_as_they_were(value: Any) -> None:
    back = read_call(written({"value": value}))["value"]
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [object(), {"a": 1}, "x" * 2000, b"x", Group(), dict])
def test_arguments_that_cannot_be_written_down_cheaply_are_not(value: Any) -> None:
    assert written({"value": value}) == ""


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":{"model":["no.such",1]}}', '{"a":{"eval":"x"}}', '{"a":{}}'])
def test_a_text_that_says_nothing_is_refused_in_words(text: str) -> None:
    with pytest.raises(LookupError, match="not stored with it"):
        read_call(text)

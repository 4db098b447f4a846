"""Keys: readable, stable, and never one key for two meanings."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from enum import Enum
from itertools import combinations
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db.models import TextChoices
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.caching import CacheKeyBuilder, CacheManager
from cache_admin.caching.keys import MAX_KEY
from cache_admin.keys import escape_glob

build = CacheKeyBuilder.build_key


class Colour(Enum):
    RED = 1


class Status(TextChoices):
    PAID = "paid"


def test_a_key_reads_as_what_it_is_of() -> None:
    key = build("product_list", sort="price", page=2, category_id=5, version=2)
    assert key == "v2:product_list:category_id:5:page:2:sort:price"
    assert CacheManager.get_cache_key("product_list", page=1) == build("product_list", page=1)


def test_version_zero_is_a_version() -> None:
    assert build("p", version=0) == "v0:p" != build("p")


def test_colons_keep_arguments_apart() -> None:
    assert len({build("p", "a:b", "c"), build("p", "a", "b:c"), build("p", "a:b:c"), build("p", "a", "b", "c")}) == 4
    assert build("a:b", "c") != build("a", "b:c")


DIFFERENT = [
    *(5, "5", 5.0, Decimal(5), True, "True", None, "None", "", b"", b"5", float("nan"), "nan"),
    *(datetime.date(2024, 5, 1), "2024-05-01", datetime.datetime(2024, 5, 1), datetime.time(10, 30)),
    datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
    *(datetime.timedelta(days=1), UUID(int=7), str(UUID(int=7)), Colour.RED, "Colour(RED)", dict, "dict"),
    *([1, 2], (1, 2), {1, 2}, {1: 2}, [[1], 2], [1, [2]], ["1,2"], [1, "2"], {"a": None}, {"a=None"}),
    *("a b", "a_b", "a%20b", "é", "\x00", "a\nb", "'a'", "*", "~"),
]


def test_values_that_differ_make_keys_that_differ() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert build("p", one) != build("p", other), (one, other)


def test_what_is_equal_in_another_order_is_one_key() -> None:
    assert build("p", a=1, b=2) == build("p", b=2, a=1)
    assert build("p", {"a": 1, "b": 2}) == build("p", {"b": 2, "a": 1})
    assert build("p", {"x", "y", "z"}) == build("p", {"z", "y", "x"})
    assert build("p", Status.PAID) == build("p", "paid")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_texts_never_run_into_each_other(one: list[str], other: list[str]) -> None:
    assert (build("p", *one) == build("p", *other)) is (one == other)


@given(st.text(min_size=1), st.lists(st.one_of(st.text(), st.binary(), st.floats(), st.dates()), max_size=5))
def test_every_cache_takes_the_key_and_it_is_its_own_glob(prefix: str, args: list[object]) -> None:
    key = build(prefix, *args)
    assert len(key) <= MAX_KEY
    assert re.fullmatch(r"[\x21-\x7e]+", key)
    assert escape_glob(key.encode()) == key.encode()


def test_a_long_key_keeps_its_family_and_its_meaning() -> None:
    keys = {build("search:products", query="x" * 300, page=page) for page in range(3)}
    assert len(keys) == 3
    assert all(key.startswith("search:products:~") and len(key) <= MAX_KEY for key in keys)
    assert len(build("p" * 400, 1)) <= MAX_KEY


def test_a_key_needs_a_prefix() -> None:
    with pytest.raises(ValueError, match="needs a prefix"):
        build("")


def test_what_has_no_stable_text_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"No key can be made of builtins\.object: pass what it depends on"):
        build("p", object())


def test_keys_of_users() -> None:
    user = User(pk=123)
    assert CacheKeyBuilder.user_specific_key(user, "dashboard_stats") == "user:123:dashboard_stats"
    lazy = SimpleLazyObject(lambda: user)
    assert CacheKeyBuilder.user_specific_key(lazy, "dashboard_stats", page=2) == "user:123:dashboard_stats:page:2"
    assert CacheKeyBuilder.user_specific_key(AnonymousUser(), "cart") == "user:anonymous:cart"


def test_keys_of_instances() -> None:
    group = Group(pk=7)
    assert CacheKeyBuilder.model_key(group, "members", page=1) == "auth.group:7:members:page:1"
    assert build("p", group) == "p:auth.group(7)" != build("p", User(pk=7))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CacheKeyBuilder.user_specific_key(User(), "x"),
        lambda: CacheKeyBuilder.model_key(Group(), "x"),
        lambda: build("p", Group()),
    ],
)
def test_an_unsaved_instance_is_an_error(make) -> None:
    with pytest.raises(ValueError, match="is not saved"):
        make()

from __future__ import annotations

import json

import pytest
import redis
from django.core.cache.backends.base import default_key_func
from django.core.cache.backends.locmem import LocMemCache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache_admin import patterns
from cache_admin.adapters import adapter
from cache_admin.exceptions import InvalidPattern, Unsupported
from cache_admin.keys import KeyCodec, compile_glob
from cache_admin.operations.targets import Selection, Target, show_glob

SHOP = KeyCodec(b"shop:1:", b"", True, 1, lambda key, version: default_key_func(key, "shop", version or 1).encode())
names = st.text(st.sampled_from("ab1:*[]^-?\\é"), max_size=6)


def chosen(*targets: Target, keys: list[str]) -> set[str]:
    selection = Selection(targets, SHOP)
    raws = {key: SHOP.raw(key) for key in keys}
    return {key for key, raw in raws.items() if selection.match(raw) or raw in selection.literals}


def test_a_literal_is_only_itself() -> None:
    assert chosen(Target.literal("user[1]"), keys=["user[1]", "user1"]) == {"user[1]"}
    assert chosen(Target.glob("user[1]"), keys=["user[1]", "user1"]) == {"user1"}


def test_a_listed_pattern_is_exactly_its_members() -> None:
    template = patterns.fold(b"product:7")
    keys = ["product:7", "product:81", "product:7:reviews", "product:x"]
    assert chosen(Target.template(template), keys=keys) == {"product:7", "product:81"}
    assert chosen(Target.glob("product:*"), keys=keys) == set(keys)


def test_everything_of_the_alias_is_behind_its_own_prefix_and_version() -> None:
    selection = Selection([Target.alias()], SHOP)
    assert selection.server_glob == b"shop:1:*"
    assert selection.whole_alias
    assert Selection([Target.glob("***")], SHOP).whole_alias
    for foreign in (b"shop:2:a", b"shops:1:a", b"celery", b":1:a", b"_kombu.binding.celery", b"xshop:1:a"):
        assert not selection.match(foreign)


def test_no_pattern_reaches_another_version_or_alias() -> None:
    for typed in ("..:2:*", "core:1:*", "*:2:*", "[a-z]*"):
        selection = Selection([Target.glob(typed)], SHOP)
        assert selection.server_glob
        assert selection.server_glob.startswith(b"shop:1:")
        assert not selection.match(b"shop:2:a")
        assert not selection.match(b"core:1:a")


@pytest.mark.parametrize("typed", ["", "a*" * 50 + "b", "x" * 300, "x" * 1_000_000, "tail\\"])
def test_bad_patterns_are_refused(typed: str) -> None:
    with pytest.raises(InvalidPattern):
        Target.glob(typed)


def test_choosing_nothing_is_refused() -> None:
    with pytest.raises(InvalidPattern):
        Selection([], SHOP)


def test_globs_are_refused_where_the_key_function_cannot_be_reversed() -> None:
    hashed = LocMemCache("", {"KEY_FUNCTION": lambda key, prefix, version: str(hash(key))})
    codec = KeyCodec.of(hashed)
    with pytest.raises(Unsupported):
        Selection([Target.alias()], codec)
    assert list(Selection([Target.literal("a")], codec).literals.values()) == ["a"]


@given(
    st.lists(st.tuples(st.sampled_from(["glob", "literal", "template", "alias"]), st.binary(max_size=12)), min_size=1)
)
def test_targets_survive_json_in_plain_ascii(content: list) -> None:
    targets = [Target(meaning, value) for meaning, value in content]
    text = json.dumps([target.to_json() for target in targets])
    assert text.isascii()
    assert "\\u" not in text
    assert [Target.from_json(one) for one in json.loads(text)] == targets


def test_unseen_characters_are_shown_escaped() -> None:
    assert Target.literal("a\x00b\r\n").text == "a\\x00b\\x0d\\x0a"
    assert Target.glob("a\x00\\*\u202e*").text == "a\\x00\\*\\u202e*"
    assert show_glob(b"\\[a\\\\*\xff") == "\\[a\\\\*\\xff"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.sets(names, max_size=12), globs=st.lists(names, min_size=1, max_size=3))
def test_the_server_is_asked_for_at_least_what_matches(raw: redis.Redis, keys: set[str], globs: list[str]) -> None:
    """The union of several targets in one scan, against each one asked of a real server alone."""
    targets = []
    for typed in globs:
        try:
            targets.append(Target.glob(typed))
        except InvalidPattern:
            return
    raw.flushall()
    codec = adapter("default").codec
    for key in keys:
        raw.set(codec.raw(key), b"")
    raw.set(b"shop:2:a", b"")
    raw.set(b"foreign", b"")
    expected = {key for target in targets for key in raw.keys(codec.glob(target.value.decode()))}
    selection = Selection(targets, codec)
    assert selection.server_glob is not None
    offered = raw.keys(selection.server_glob)
    assert {key for key in offered if selection.match(key)} == expected
    assert {key for key in raw.keys("*") if selection.match(key)} == expected


@settings(max_examples=300)
@given(
    st.lists(st.text("ab*?[]\\-^", min_size=1, max_size=9), min_size=2, max_size=4), st.text("ab-]\\^[*", max_size=6)
)
def test_the_quick_test_before_globs_loses_no_key(globs: list[str], key: str) -> None:
    targets = [Target("glob", glob.encode()) for glob in globs]
    slow = any(compile_glob(glob.encode())(key.encode()) for glob in globs)
    codec = KeyCodec(b"", b"", True, 1, lambda key, version: key.encode())
    assert Selection(targets, codec).match(key.encode()) is bool(slow)

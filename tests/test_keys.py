"""Names: what a person types, what the server stores, and the glob between them."""

from __future__ import annotations

import pytest
import redis
from django.core.cache import caches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache_admin import keys

GLOB_ALPHABET = b"ab*?[]^-\\:\n\x7f\xc3\xa9"
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
glob_bytes = st.lists(st.sampled_from(list(GLOB_ALPHABET)), max_size=12).map(bytes)


@relaxed
@given(name=glob_bytes.filter(bool), glob=glob_bytes)
def test_matcher_agrees_with_the_server(raw: redis.Redis, name: bytes, glob: bytes) -> None:
    raw.flushall()
    raw.set(name, 1)
    answer = raw.scan(match=glob, count=10)[1] if glob else []
    if glob:
        assert bool(keys.compile_glob(glob)(name)) is bool(answer)


@relaxed
@given(name=st.binary(min_size=1, max_size=20), other=st.binary(min_size=1, max_size=20))
def test_escaped_name_matches_only_itself_on_the_server(raw: redis.Redis, name: bytes, other: bytes) -> None:
    raw.flushall()
    raw.mset({name: 1, other: 1})
    assert raw.scan(match=keys.escape_glob(name), count=10)[1] == [name]


@given(name=glob_bytes, glob=glob_bytes)
def test_a_glob_meets_a_name_that_it_matches_and_no_other(name: bytes, glob: bytes) -> None:
    assert keys.globs_meet(glob, keys.escape_glob(name)) is bool(keys.compile_glob(glob)(name))


@given(name=st.binary(max_size=12), data=st.data())
def test_two_globs_that_match_one_name_meet(name: bytes, data: st.DataObject) -> None:
    def loosened() -> bytes:
        pieces = [
            data.draw(st.sampled_from([keys.escape_glob(name[i : i + 1]), b"?", b"*", b"**"])) for i in range(len(name))
        ]
        return b"".join(pieces)

    assert keys.globs_meet(loosened(), loosened())


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        (b"product:*", b"product:7:reviews", True),
        (b"product:*", b"*:reviews", True),
        (b"product:*", b"products", False),
        (b"a*b", b"*c", False),
        (b"*", b"", True),
        (b"a[1-3]", b"a[3-5]", True),
        (b"a[1-3]", b"a[^1-3]", False),
        (b"user\\*", b"user7", False),
        (b"user\\*", b"user?", True),
        (b"a*" * 12, b"b*" * 12, False),
        (b"", b"", True),
        (b"[", b"[", False),
    ],
)
def test_globs_that_meet(first: bytes, second: bytes, meet: bool) -> None:
    assert keys.globs_meet(first, second) is keys.globs_meet(second, first) is meet


@given(st.binary())
def test_token_round_trips_every_key(name: bytes) -> None:
    assert keys.from_token(keys.token(name)) == name


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_shown_text_stands_for_one_key_only(one: bytes, two: bytes) -> None:
    assert (keys.show(one) == keys.show(two)) is (one == two)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_codec_round_trips_user_keys(name: str) -> None:
    for alias in ("default", "core", "locmem"):
        codec = keys.KeyCodec.of(caches[alias])
        assert codec.user(codec.raw(name)) == name

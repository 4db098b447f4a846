"""A key belongs to exactly one pattern, and what a pattern means follows from its template alone."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_admin import folding
from cache_admin.folding import OTHER, Folder
from cache_admin.keys import compile_glob, normalise_glob
from cache_admin.patterns import CUT, display, fold, fold_common, glob, matcher, matches

WORDS = st.sampled_from(
    [
        *("product", "user", "v2", "utf8", "alice", "bob", "list", "GET", "", "a", "x*y", "é", "7", "12345"),
        *("0cc175b9c0f1b6a831c399e269772661", "2024-01-02", "10.0.0.1", "bob@example.com", "user12345"),
        *("\x00", "\x01", "\n", "\\", "[a]", str(uuid.UUID(int=7)), "2001:db8::1", "Ab1cD2eF3gH4iJ5kL6mN7"),
    ]
)
SENSIBLE = st.builds(lambda words, separator: separator.join(words).encode(), st.lists(WORDS, min_size=1, max_size=6),
                     st.sampled_from(":/|.-_"))  # fmt: skip
NAMES = SENSIBLE | st.binary(max_size=60) | st.builds(lambda name, n: name * n, SENSIBLE, st.integers(1, 60))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("product:12", "product:*"),
        ("product:12:reviews", "product:*:reviews"),
        ("product:list", "product:list"),
        ("page-3", "page-*"),
        ("user12345", "user*"),
        ("user:12345678", "user:*"),
        ("api:v2:utf8:md5:h264:sha256", "api:v2:utf8:md5:h264:sha256"),
        ("f:0cc175b9c0f1b6a831c399e269772661", "f:*"),
        ("f:" + "0cc175b9" * 8, "f:*"),
        ("f:deadbeef", "f:deadbeef"),
        ("f:dead1eef", "f:*"),
        ("f:12345678-1234-1234-1234-123456789abc:x", "f:*:x"),
        ("day:2024-01-02", "day:*"),
        ("month:2024-01:pdf", "month:*:pdf"),
        ("at:2024-01-02T10:20:30.5Z:x", "at:*:x"),
        ("throttle_anon_10.1.2.3", "throttle_anon_*"),
        ("ip:2001:db8::1", "ip:*"),
        ("ip:2001:0db8:85a3:0000:0000:8a2e:0370:7334:n", "ip:*:n"),
        ("mail:john.doe+x@mail.example.com:box", "mail:*:box"),
        ("throttle_login_bob@example.com", "throttle_login_*"),
        ("t:Ab1cD2eF3gH4iJ5kL6mN7", "t:*"),
        ("django.contrib.sessions.cacheabcdefghijklmnopqrstuvwxyz123456", "django.contrib.sessions.cache*"),
        ("django.contrib.sessions.cached_db0bcdefghijklmnopqrstuvwxyz123456", "django.contrib.sessions.cached_db*"),
        ("django.contrib.sessions.cachea1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", "django.contrib.sessions.cache*"),
        ("user:O'Neil*", "user:O'Neil\\*"),
        ("a\\b", "a\\\\b"),
        ("temp:-5", "temp:-*"),
        ("prix:12€", "prix:12€"),
        ("", ""),
    ],
)
def test_ids_become_stars_and_words_stay(name: str, pattern: str) -> None:
    assert display(fold(name.encode())) == pattern


def test_a_pattern_holds_its_own_keys_and_not_those_that_merely_begin_alike() -> None:
    product = matcher(fold(b"product:1"))
    assert product(b"product:7")
    assert not product(b"product:7:reviews")
    assert not product(b"product:list")
    assert not product(b"xproduct:7")


@given(st.lists(NAMES, max_size=30))
def test_folding_a_page_at_once_equals_folding_each_name(names: list[bytes]) -> None:
    assert fold_common(names) == [fold_common([name])[0] for name in names]


@given(NAMES)
def test_the_glob_of_a_pattern_covers_its_members(name: bytes) -> None:
    template = fold(name)
    covering = glob(template)
    assert compile_glob(covering)(name)
    if covering and template.isascii():
        assert normalise_glob(covering.decode())
    assert matches(template, name)


@given(st.lists(NAMES, min_size=1, max_size=120), st.randoms(use_true_random=False), st.integers(3, 200))
def test_every_key_is_a_member_of_exactly_its_own_pattern(
    names: list[bytes], shuffled: random.Random, limit: int
) -> None:
    owner: dict[bytes, int] = {}

    def merge(source: int, target: int) -> None:
        owner.update({name: target for name, slot in owner.items() if slot == source})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folding, "SIBLINGS", 3)
        patched.setattr(folding, "FIRST_SIBLINGS", 6)
        patched.setattr(folding, "CROWD", 8)
        patched.setattr(folding, "_REMEMBERED", 5)
        folder = Folder(limit, merge)
        shuffled.shuffle(names)
        for start in range(0, len(names), 7):
            page = names[start : start + 7]
            owner.update(zip(page, folder.fold_page(page), strict=True))
    assert len(folder.live) <= limit
    members = {slot: matcher(template) for slot, template in folder.live.items()}
    texts = [display(template) for template in folder.live.values()]
    assert len(texts) == len(set(texts))
    for name in names:
        found = [slot for slot, is_member in members.items() if is_member(name)]
        assert found == ([owner[name]] if owner[name] != OTHER else [])
        for slot in found:
            assert compile_glob(glob(folder.live[slot]))(name)


def fold_all(names: list[bytes], limit: int = 5_000) -> tuple[Folder, list[bytes]]:
    folder = Folder(limit)
    for start in range(0, len(names), 1000):
        folder.fold_page(names[start : start + 1000])
    return folder, sorted(folder.live.values())


def test_many_words_at_one_place_collapse_and_few_stay() -> None:
    names = [f"user:u{chr(97 + i)}:profile".encode() for i in range(26)]
    assert len(fold_all(names)[1]) == 26
    many = [b"user:" + word() + b":profile" for _ in range(2000)]
    assert fold_all([*many, b"user:7:profile", b"user:7:orders"])[1] == [b"user:\x00:orders", b"user:\x01:profile"]


def test_names_of_people_do_not_make_a_pattern_each() -> None:
    names = [kind % (word(), word()) for _ in range(20_000) for kind in (b"blog:%s:%s", b"cart:%s:%s:items", b"%s.%s")]
    assert [display(template) for template in fold_all(names)[1]] == ["*.*", "blog:*:*", "cart:*:*:items"]


def test_hostile_names_stay_within_the_limit() -> None:
    names = [b":".join(word() for _ in range(1 + i % 40)) + b"x" * (i % 3 * 30_000) for i in range(3_000)]
    templates = fold_all(names, limit=200)[1]
    assert len(templates) <= 200
    assert max(map(len, templates)) <= CUT + 1


def test_families_with_the_same_tail_stay_apart() -> None:
    names = [
        b"model%s:%d" % (chr(97 + i % 26).encode() + chr(97 + i // 26).encode(), n) for i in range(200) for n in (1, 2)
    ]
    assert len(fold_all(names)[1]) == 200


_source = random.Random(5)


def word() -> bytes:
    return "".join(_source.choices("abcdefghijklmnopqrstuvwxyz", k=9)).encode()

"""``compress=``: large values smaller, small ones and counters alone, and everything readable that was written."""

from __future__ import annotations

import builtins
import importlib
from typing import Any

import pytest
from django.core.cache import caches

from cache_admin.caching import Compression, SmartCache, cache_result
from cache_admin.caching.compression import Packed
from cache_admin.exceptions import Unsupported

LARGE = {"rows": [{"name": "a name that repeats", "number": i} for i in range(500)]}


@pytest.mark.parametrize("codec", ["zlib", "zstd", "lz4"])
def test_large_values_come_back_as_they_were(kind: str, codec: str) -> None:
    smart = SmartCache(kind)
    smart.set("k", LARGE, 60, compress=Compression(codec))
    stored = caches[kind].get("k")
    assert isinstance(stored, Packed)
    assert stored.codec == codec
    assert len(stored.data) < 4000
    assert smart.get("k") == LARGE
    assert smart.get_many_with_fallback(["k"], lambda keys: {}, 60) == {"k": LARGE}


def test_cached_functions(kind: str) -> None:
    calls = []

    @cache_result(60, alias=kind, compress=True, tags=["t"])
    def report(large: bool) -> Any:
        calls.append(large)
        return LARGE if large else "small"

    assert [report(True), report(True), report(False), report(False)] == [LARGE, LARGE, "small", "small"]
    assert len(calls) == 2
    assert isinstance(caches[kind].get(report.key(True))[-1], Packed)
    assert caches[kind].get(report.key(False))[-1] == "small"


def test_switching_compression_on_or_off_reads_what_is_there(kind: str) -> None:
    smart = SmartCache(kind)
    for before, after in [(True, False), (False, True)]:
        smart.delete("k")
        smart.get_or_set_with_lock("k", lambda: LARGE, 60, compress=before)
        assert smart.get_or_set_with_lock("k", lambda: "computed again", 60, compress=after) == LARGE


@pytest.mark.parametrize("value", [5, 10**3000, True, None, 2.5, "short", b"short"])
def test_small_values_and_numbers_are_left_alone(value: Any) -> None:
    assert Compression().pack(value) is value


def test_the_threshold_is_in_bytes() -> None:
    assert Compression(threshold=10_000).pack("x" * 5000) == "x" * 5000
    assert isinstance(Compression(threshold=4000).pack("x" * 5000), Packed)


def test_what_would_not_shrink_is_left_alone() -> None:
    noise = bytes((i * i * 31 + i // 7 * 131) % 256 for i in range(40))
    assert Compression(threshold=0).pack(noise) == noise


def test_many_at_once(kind: str) -> None:
    got = SmartCache(kind).get_many_with_fallback(["a"], lambda keys: {"a": LARGE}, 60, compress=True)
    assert got == {"a": LARGE}
    assert isinstance(caches[kind].get("a"), Packed)


def test_an_unknown_codec_or_a_missing_package_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="There is no compression 'rar'; known: zlib, zstd, lz4"):
        Compression("rar")

    def absent(name: str) -> Any:
        raise builtins.ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(Unsupported, match="zstd needs the package zstandard"):
        cache_result(60, compress=Compression("zstd"))


def test_an_alias_that_does_not_pickle_says_so(raw: Any) -> None:
    smart = SmartCache("json")
    with pytest.raises(Unsupported, match="json: its serializer takes no compressed values"):
        smart.set("k", LARGE, 60, compress=True)
    with pytest.raises(Unsupported, match="json: its serializer takes no compressed values"):
        smart.get_or_set_with_lock("k", lambda: LARGE, 60, compress=True)
    assert not caches["json"].has_key("k:lock")
    smart.set("k", "small", 60, compress=True)
    assert smart.get("k") == "small"
    with pytest.raises(TypeError, match="not JSON serializable"):
        smart.set("k", object(), 60)

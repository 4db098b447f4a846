from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import sys
import zlib
from decimal import Decimal

import lz4.frame
import msgpack
import pytest
import zstandard
from django.conf import settings
from django.core.cache import CacheHandler
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.adapters.base import Storage
from cache_admin.values.compression import inflate
from tests.values.looking import child, depth, look, walk
from tests.values.test_pickles import said, told

COMPRESSORS = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}
VALUE = {"name": "tea", "price": 2.5, "tags": ["green", "loose"], "stock": 12, "gone": None}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=15,
)


@pytest.mark.parametrize("hint", ["", "zlib", "lzma"])
@pytest.mark.parametrize("name", COMPRESSORS)
def test_every_compressor_is_found_whatever_the_settings_say(name, hint):
    data = COMPRESSORS[name](pickle.dumps(VALUE))
    shown = look(data, Storage("pickle", hint))
    assert (shown.compressor, shown.serializer) == (name, f"pickle {pickle.DEFAULT_PROTOCOL}")
    assert told(shown.root) == said(VALUE)
    assert shown.inflated == len(pickle.dumps(VALUE))


@given(st.sampled_from(sorted(COMPRESSORS)), st.binary(max_size=3_000), st.integers(1, 4_000))
def test_inflating_never_gives_more_than_asked_for(name, data, limit):
    opened = inflate(COMPRESSORS[name](data), limit=limit)
    assert opened.data == data[:limit]
    assert opened.truncated == (len(data) > limit)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_bomb_is_cut(name):
    shown = look(COMPRESSORS[name](bytes((64 if name == "zlib" else 4) * 2**20)), Storage())
    assert shown.compressor == name
    assert shown.inflated <= 2**20
    assert "over 1 MiB, cut" in shown.notes
    assert shown.truncated


@pytest.mark.parametrize("name", COMPRESSORS)
def test_the_first_part_of_compressed_data_is_opened(name):
    rows = [{"row": i, "square": i * i} for i in range(9_000)]
    data = COMPRESSORS[name](json.dumps(rows).encode())
    shown = look(data[: len(data) * 3 // 4], Storage("json", name), truncated=True)
    if name == "bz2":  # gives whole blocks only, and the first one is not here
        return
    assert (shown.compressor, shown.serializer) == (name, "json")
    assert child(shown.root, "2", "square").text == "4"


def test_a_wrong_checksum_is_not_zlib():
    data = zlib.compress(b"hello " * 100)
    shown = look(data[:-1] + bytes([data[-1] ^ 1]), Storage("pickle", "zlib"))
    assert shown.compressor == ""
    assert any("not zlib" in note for note in shown.notes)
    assert shown.root is None
    assert shown.hex.startswith("0000  78 9c")


@pytest.mark.parametrize("name", COMPRESSORS)
def test_text_that_only_starts_like_compressed_data_is_shown_as_it_is(name):
    head = COMPRESSORS[name](b"x" * 100)[:10]
    shown = look(head + b"\xff" * 50, Storage())
    assert shown.compressor == ""
    assert any(f"not {name}" in note for note in shown.notes)


def test_only_one_layer_is_opened():
    shown = look(zlib.compress(zlib.compress(b"inner " * 50)), Storage())
    assert (shown.compressor, shown.serializer) == ("zlib", "bytes")
    assert any("another compressed layer (zlib)" in note for note in shown.notes)


def test_lzma_that_wants_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 * 2**20}]
    shown = look(lzma.compress(b"x" * 1000, filters=filters), Storage("pickle", "lzma"))
    assert shown.compressor == "lzma"
    assert shown.notes == ("compressed with lzma; needs more memory than a preview may use",)


def test_zstd_that_wants_much_memory_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    shown = look(stream.compress(b"x" * 1000) + stream.flush(), Storage())
    assert shown.notes == ("compressed with zstd; needs more memory than a preview may use",)


@pytest.mark.parametrize(
    ("data", "module", "note"),
    [
        (b"\x04\x22\x4d\x18" + bytes(20), "lz4.frame", "compressed with lz4; install lz4 to see inside"),
        (
            COMPRESSORS["zstd"](b"x" * 50),
            "zstandard",
            "compressed with zstd; install zstandard to see inside",
        ),
    ],
)
def test_a_missing_library_is_named(monkeypatch, data, module, note):
    monkeypatch.setitem(sys.modules, module, None)
    shown = look(data)
    assert shown.notes == (note,)
    assert shown.root is None


@pytest.mark.parametrize("number", [0, -5, 12, 2**63])
def test_integers_are_stored_raw(number):
    shown = look(str(number).encode())
    assert (shown.serializer, shown.root.kind, shown.root.text) == ("integer", "int", str(number))


@given(JSON_VALUES)
def test_json_is_told_as_it_is(value):
    shown = look(json.dumps(value).encode(), Storage("json"), reveal=True)
    if depth(shown.root) < 20:
        assert told(shown.root) == said(value)


@given(JSON_VALUES)
def test_msgpack_is_told_as_it_is(value):
    shown = look(msgpack.dumps(value), Storage("msgpack"), reveal=True)
    # Small integers may be spelled as one digit, which is how any serializer's integers are stored.
    if depth(shown.root) < 20 and shown.serializer == "msgpack":
        assert told(shown.root) == said(value)
    else:
        assert depth(shown.root) >= 20 or isinstance(value, int)


def test_msgpack_is_found_without_a_hint_and_shows_bytes_and_extensions():
    data = {"raw": b"\xff", "wide": list(range(20)), "when": msgpack.Timestamp(5), "text": "x" * 300, "b": b"y" * 300}
    shown = look(msgpack.dumps(data), Storage())
    assert shown.serializer == "msgpack"
    assert child(shown.root, "raw").text == "\\xff"
    assert child(shown.root, "when").text == "msgpack.extension -1"
    assert child(shown.root, "wide", "19").text == "19"


@pytest.mark.parametrize("body", ["text " * 30_000, b"\xff" * 150_000])
def test_the_beginning_of_a_long_text_in_msgpack_is_shown(body):
    data = msgpack.packb({"name": "report", "body": body})[:65_536]
    shown = look(data, Storage("msgpack"), truncated=True)
    assert child(shown.root, "name").text == "report"
    assert child(shown.root, "body").note == "the first 2000 of 150000 bytes"


@pytest.mark.parametrize("document", [b"[" * 100_000, b'{"a":' * 100_000, b"\x91" * 60_000])
def test_deep_documents_are_too_deep(document):
    shown = look(document, Storage("msgpack" if document[0] == 0x91 else "json"))
    assert "too deep" in shown.notes
    assert depth(shown.root) <= 21


def test_the_first_part_of_a_long_json_document_is_shown():
    data = json.dumps({"rows": [{"row": i, "text": 'with "quotes", [brackets'} for i in range(2_000)]}).encode()
    shown = look(data[:65_536], Storage("json"), truncated=True)
    assert shown.serializer == "json"
    assert child(shown.root, "rows", "5", "row").text == "5"


@pytest.mark.parametrize(
    "data", [b"{broken", b"[1,2", b"]", b'{"a": 1}}', b'["x', b"[" + b"1" * 5000 + b"]", b'\\"' * 9]
)
def test_what_is_no_json_is_text(data):
    assert look(data, Storage("json")).serializer == "text"


def test_text_and_bytes():
    assert look("grün 😀\n".encode(), Storage()).root.text == "grün 😀\n"
    assert look(b"", Storage()).serializer == "text"
    assert look("abc…".encode()[:-1], Storage(), truncated=True).root.text == "abc"
    shown = look(b"\x00\x01\xfe", Storage("shop.codec.Own", "shop.codec.Tight"))
    assert (shown.serializer, shown.root) == ("bytes", None)
    assert shown.notes == tuple(
        f"The alias writes with {name}, which cannot be read here." for name in ("shop.codec.Own", "shop.codec.Tight")
    )


SERIALIZERS = {
    "pickle": "pickle.PickleSerializer",
    "json": "json.JSONSerializer",
    "msgpack": "msgpack.MSGPackSerializer",
}
ZIPPERS = {
    "": "identity.IdentityCompressor",
    "zlib": "zlib.ZlibCompressor",
    "lzma": "lzma.LzmaCompressor",
    "gzip": "gzip.GzipCompressor",
    "lz4": "lz4.Lz4Compressor",
}


@pytest.mark.parametrize("compressor", ZIPPERS)
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_what_django_redis_writes_is_read(raw, serializer, compressor):
    options = {
        "SERIALIZER": f"django_redis.serializers.{SERIALIZERS[serializer]}",
        "COMPRESSOR": f"django_redis.compressors.{ZIPPERS[compressor]}",
    }
    backend = {**settings.CACHES["default"], "OPTIONS": options}
    cache = CacheHandler({"default": backend})["default"]
    value = {**VALUE, "long": "text " * 50}
    cache.set("key", value)
    shown = look(raw.get(cache.make_key("key")), Storage(serializer, compressor))
    assert shown.compressor == compressor
    assert shown.serializer.startswith(serializer)
    assert told(shown.root) == said(value)
    cache.set("number", 7)
    assert look(raw.get(cache.make_key("number")), Storage(serializer, compressor)).serializer == "integer"


def test_what_djangos_own_backend_writes_is_read(raw):
    cache = CacheHandler({"default": {**settings.CACHES["core"], "LOCATION": f"{settings.URL}?db=0"}})["default"]
    cache.set_many({"value": VALUE, "number": 41, "money": Decimal("1.10"), "flag": True})
    assert told(look(raw.get(cache.make_key("value"))).root) == said(VALUE)
    assert look(raw.get(cache.make_key("number"))).serializer == "integer"
    assert look(raw.get(cache.make_key("money"))).root.text == "1.10"
    assert look(raw.get(cache.make_key("flag"))).root.text == "True"
    cache.close()


def test_herd_values_are_shown_with_their_wrapping(raw):
    options = {"CLIENT_CLASS": "django_redis.client.HerdClient"}
    cache = CacheHandler({"default": {**settings.CACHES["default"], "OPTIONS": options}})["default"]
    cache.set("key", VALUE, 300)
    shown = look(raw.get(cache.make_key("key")), Storage("pickle", wrapped=True))
    assert told(child(shown.root, "value")) == said(VALUE)
    assert [node.label for node in shown.root.children] == ["marker", "value", "expires"]
    assert any(note.startswith("Wrapped by HerdClient") for note in shown.notes)
    assert not shown.warnings


@given(st.binary(max_size=400), st.sampled_from(["", "pickle", "json", "msgpack"]), st.booleans())
def test_arbitrary_bytes_never_raise(data, serializer, truncated):
    shown = look(data, Storage(serializer), truncated=truncated)
    assert len(list(walk(shown.root))) <= 500

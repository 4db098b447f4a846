from __future__ import annotations

import json
import pickle
import struct
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.values.preview import MAX_NODES, MAX_TEXT, preview
from cache_admin.values.tree import hex_dump, visible
from tests.values.looking import child, depth, look, texts, walk

MIB = 2**20


def laughs() -> object:
    value: object = "lol"
    for _ in range(12):
        value = [value] * 10
    return value


def packed(data: bytes) -> bytes:
    return zlib.compress(data, 1)


BOMBS = {
    "memo": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "laughs": pickle.dumps(laughs()),
    "duplicates": packed(b"\x80\x04N" + b"2" * MIB),
    "marks": packed(b"\x80\x04" + b"(" * MIB),
    "open lists": packed(b"\x80\x04" + b"](" * (MIB // 2)),
    "loose items": packed(b"\x80\x04]" + b"N" * MIB),
    "nested tuples": packed(b"\x80\x04)" + b"\x85" * MIB),
    "long integer": packed(b"\x80\x04\x8b" + struct.pack("<i", MIB - 10) + b"\x7f" * (MIB - 10) + b"."),
    "many digits": packed(b"I" + b"9" * (MIB - 10) + b"\n."),
    "wide characters": packed(pickle.dumps("\U0001f600" * (MIB // 4 - 10))),
    "calls": packed(b"\x80\x02" + b"cos\nsystem\n(tR0" * 60_000),
    "json lists": packed(b"[" + b"[]," * (MIB // 3 - 5) + b"[]]"),
    "json quotes": packed(b'["' + b'\\"' * (MIB // 2)),
    "msgpack claims": b"\xdd\xff\xff\xff\xff" * 10_000,
    "digits and spaces": packed(b"4 " * (MIB // 2)),
    "words": packed(b"&token" * (MIB // 6)),
    "token heads": packed(b"eyJ" * (MIB // 3)),
    "links": packed(b"://a:" * (MIB // 5)),
    "lines": packed(b"\n" * MIB),
    "many slow leaves": pickle.dumps([f"{i}" + "4 " * 2_000 for i in range(400)]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_stay_within_time_memory_and_size(name):
    data = BOMBS[name]
    serializer = name.split()[0] if name.startswith(("json", "msgpack")) else "pickle"
    started = time.thread_time()
    shown = look(data, Storage(serializer, "zlib"))
    spent = time.thread_time() - started
    tracemalloc.start()
    look(data, Storage(serializer, "zlib"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MIB
    assert spent < 1  # 0.25 s, and some for what is measured beside it
    assert len(list(walk(shown.root))) <= MAX_NODES
    assert depth(shown.root) <= 21


def test_wide_and_deep_values_are_cut_with_a_note():
    nested: object = "end"
    for _ in range(60):
        nested = {"in": nested}
    shown = look(pickle.dumps({"rows": [[i, {"a": i}] for i in range(300)], "deep": nested, "last": "still here"}))
    assert child(shown.root, "last").text == "still here"
    assert any(node.kind == "cut" and node.text.endswith("more, not shown") for node in walk(shown.root))
    assert "Too large to be shown whole." in shown.notes
    assert shown.truncated
    assert len(list(walk(shown.root))) <= MAX_NODES


def test_long_leaves_are_cut_with_their_length():
    shown = look(pickle.dumps({"text": "x" * 5_000, "bytes": b"y" * 3_000}))
    assert child(shown.root, "text").text == "x" * MAX_TEXT
    assert child(shown.root, "text").note == "the first 2000 of 5000"
    assert child(shown.root, "bytes").note == "the first 2000 of 3000"


@pytest.mark.parametrize("markup", ["<script>alert(1)</script>", "<svg onload=alert(1)>", "{{7*7}}"])
def test_markup_stays_text(markup):
    shown = look(markup.encode(), Storage())
    assert (shown.serializer, shown.root.kind, shown.root.text) == ("text", "str", markup)


def test_unseen_characters_are_escaped():
    shown = look(pickle.dumps({"a\u202e": "b\u200b\x1b[0m", "lone": "\ud800"}))
    assert child(shown.root, "a\\u202e").text == "b\\u200b\\x1b[0m"
    assert texts(shown).encode()
    assert visible("C:\\new\n") == "C:\\new\n"


def test_hex_dump_tells_offset_bytes_and_letters():
    assert hex_dump(b"abc\x00" + bytes(range(6))).splitlines() == [
        "0000  61 62 63 00 00 01 02 03  |abc.....|",
        "0008  04 05                    |..|",
    ]


COLLECTIONS = {
    "hash": (((b"name", pickle.dumps({"a": 1})), (b"password", b"hunter2")), ["name", "password"]),
    "list": (((b"one",), (json.dumps([1]).encode(),)), ["0", "1"]),
    "set": (((b"one",), (b"\xff\xfe",)), ["", ""]),
    "zset": (((b"one", b"1.5"), (b"two", b"2")), ["1.5", "2"]),
    "stream": (((b"1-0", b"field", b"value", b"n", b"7"),), ["1-0"]),
}


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_collections_are_decoded_entry_by_entry(kind):
    entries, labels = COLLECTIONS[kind]
    shown = preview(RawValue(kind, 90, entries=entries, truncated=True, notes=("first ones",)), Storage())
    assert [node.label for node in shown.root.children] == labels
    assert shown.root.text == ("90 entries, scores before members" if kind == "zset" else "90 entries")
    assert shown.truncated
    assert "first ones" in shown.notes
    assert shown.stored == sum(len(item) for entry in entries for item in entry)


def test_entries_show_what_they_hold():
    entries, _labels = COLLECTIONS["hash"]
    shown = preview(RawValue("hash", 2, entries=entries), Storage())
    assert child(shown.root, "name", "a").text == "1"
    assert child(shown.root, "password").kind == "masked"
    assert "hunter2" not in texts(shown)
    assert shown.serializer == "mixed"
    shown = preview(RawValue("stream", 1, entries=COLLECTIONS["stream"][0]), Storage())
    assert child(shown.root, "1-0", "n").kind == "int"
    shown = preview(RawValue("set", 2, entries=COLLECTIONS["set"][0]), Storage())
    assert shown.root.children[1].kind == "bytes"


def test_entries_share_one_budget():
    entries = tuple((packed(b"[%d," % i + b"1," * (MIB // 2 - 9) + b"1]"),) for i in range(100))
    started = time.thread_time()
    shown = preview(RawValue("list", 100, entries=entries), Storage())
    assert time.thread_time() - started < 1
    assert shown.inflated <= 2 * MIB
    assert len(list(walk(shown.root))) <= MAX_NODES
    assert shown.root.children[-1].kind == "cut"


def test_a_key_that_is_gone_has_nothing_to_show():
    shown = preview(RawValue("none", 0), Storage())
    assert (shown.root, shown.serializer, shown.raw_text) == (None, "", "")


@given(
    st.sampled_from(["hash", "list", "set", "zset", "stream", "json-module"]),
    st.lists(st.lists(st.binary(max_size=40), max_size=5).map(tuple), max_size=5).map(tuple),
    st.text(max_size=10),
)
def test_any_collection_is_shown(kind, entries, key):
    shown = preview(RawValue(kind, len(entries), entries=entries), Storage("pickle"), key)
    assert len(list(walk(shown.root))) <= MAX_NODES

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import pickle
import sys
import types
import uuid
import zoneinfo

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.values.preview import Node
from cache_admin.values.tree import visible
from tests.values.looking import child, depth, look, texts, walk

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=30)
)
HASHABLE = st.integers() | st.text(max_size=10) | st.binary(max_size=10)
PLAIN = st.recursive(
    SCALARS
    | st.frozensets(HASHABLE, max_size=4)
    | st.sets(HASHABLE, max_size=4)
    | st.binary(max_size=9).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=8), inner, max_size=5)
        | st.lists(inner, max_size=4).map(tuple)
    ),
    max_leaves=15,
)


def said(value: object) -> object:
    """What the tree of a plain value must say: kind and text of leaves, labels and children of containers."""
    match value:
        case None | bool() | int() | float():
            return ("none" if value is None else type(value).__name__, str(value))
        case str():
            return "str", visible(value)
        case bytes() | bytearray():
            return "bytes", visible(bytes(value))
        case dict():
            return "dict", [(visible(key), said(inner)) for key, inner in value.items()]
        case set() | frozenset():
            return "set", sorted(map(said, value))
    return type(value).__name__, [(str(i), said(inner)) for i, inner in enumerate(value)]


def told(node: Node) -> object:
    if node.kind == "set":
        return "set", sorted(map(told, node.children))
    if node.kind in {"dict", "list", "tuple"}:
        return node.kind, [(inner.label, told(inner)) for inner in node.children]
    return node.kind, node.text


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_told_as_it_is_at_every_protocol(value, protocol):
    shown = look(pickle.dumps(value, protocol), reveal=True)
    if depth(shown.root) < 20:
        assert shown.root is not None
        assert told(shown.root) == said(value)
        assert not shown.warnings
        assert not shown.notes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_serializer_names_its_protocol(protocol):
    assert look(pickle.dumps({"a": 1.5}, protocol)).serializer == f"pickle {protocol}"


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Product:
    name: str
    price: decimal.Decimal


FAMILIAR = [
    (datetime.datetime(2026, 3, 4, 5, 6, 7, 89), "2026-03-04 05:06:07.000089", "datetime.datetime"),
    (datetime.datetime(2026, 3, 4, tzinfo=datetime.UTC), "2026-03-04 00:00:00+00:00", "datetime.datetime"),
    (
        datetime.datetime(2026, 3, 4, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "2026-03-04 00:00:00 Europe/Berlin",
        "datetime.datetime",
    ),
    (datetime.date(2026, 3, 4), "2026-03-04", "datetime.date"),
    (datetime.time(5, 6, 7), "05:06:07", "datetime.time"),
    (datetime.timedelta(1, 2), "1 day, 0:00:02", "datetime.timedelta"),
    (datetime.timezone(datetime.timedelta(hours=2)), "UTC+02:00", "datetime.timezone"),
    (decimal.Decimal("19.90"), "19.90", "decimal.Decimal"),
    (uuid.UUID(int=2**127 + 5), "80000000-0000-0000-0000-000000000005", "uuid.UUID"),
    (1 + 2j, "(1+2j)", "builtins.complex"),
]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(("value", "text", "note"), FAMILIAR, ids=[note for _, _, note in FAMILIAR])
def test_familiar_objects_are_written_out(value, text, note, protocol):
    shown = look(pickle.dumps(value, protocol))
    assert (shown.root.text, shown.root.note) == (text, note)
    assert not shown.warnings


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_familiar_collections_show_their_entries(protocol):
    value = {
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("aa"),
        "deque": collections.deque([1, 2]),
        "namespace": types.SimpleNamespace(a=1),
    }
    shown = look(pickle.dumps(value, protocol))
    assert child(shown.root, "ordered", "a").text == "1"
    assert child(shown.root, "default", "a", "0").text == "1"
    assert child(shown.root, "counter", "a").text == "2"
    assert child(shown.root, "deque", "1").text == "2"
    assert child(shown.root, "namespace", "a").text == "1"
    assert child(shown.root, "ordered").note == "collections.OrderedDict"
    assert not shown.warnings


def test_familiar_names_with_odd_arguments_stay_calls():
    for args in ["tR", "I1\ntR", "S'x'\ntR", "cos\nsystem\ntR"]:
        for name in ["datetime\ndatetime", "decimal\nDecimal", "uuid\nUUID", "datetime\ntimedelta", "datetime\ntime"]:
            assert look(f"c{name}\n({args}.".encode()).root is not None


def test_django_objects_show_their_state_and_version():
    queryset = User.objects.all()
    queryset._result_cache = [User(pk=7, username="ada")]
    response = HttpResponse("<b>hi</b>", status=404)
    template_response = SimpleTemplateResponse("x.html")
    template_response.content = "rendered"
    shown = look(
        pickle.dumps({"rows": queryset, "page": response, "made": template_response, "safe": SafeString("<i>")})
    )
    row = child(shown.root, "rows", "_result_cache", "0")
    assert row.text == "auth.User"
    assert row.note.startswith("stored by Django")
    assert child(row, "username").text == "ada"
    assert child(shown.root, "page").text == "django.http.response.HttpResponse"
    assert "status 404" in child(shown.root, "page").note
    assert child(shown.root, "page", "_container", "0").text == "<b>hi</b>"
    assert child(shown.root, "made").text == "django.template.response.SimpleTemplateResponse"
    assert child(shown.root, "safe").kind == "str"
    assert child(shown.root, "safe").text == "<i>"
    assert not shown.warnings


def test_own_classes_show_name_and_fields_without_import():
    data = pickle.dumps({"product": Product("tea", decimal.Decimal(3)), "colour": Colour.RED})
    data = data.replace(b"tests.values.test_pickles", b"gone.app.of_some_old_code")  # the same length
    shown = look(data)
    assert child(shown.root, "product").text == "gone.app.of_some_old_code.Product"
    assert child(shown.root, "product", "name").text == "tea"
    assert child(shown.root, "colour").note == "would call gone.app.of_some_old_code.Colour when loaded"
    assert not any(name.startswith("gone") for name in sys.modules)


class Runs:
    """Its pickle calls ``callee`` with ``args`` when it is loaded."""

    def __init__(self, callee, *args):
        self.call = callee, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_is_flagged_and_not_run(tmp_path, protocol):
    import os

    marker = tmp_path / "ran"
    shown = look(pickle.dumps([Runs(os.system, f"touch {marker}")], protocol))
    assert shown.warnings == ("calls posix.system when loaded",)
    node = child(shown.root, "0")
    assert (node.kind, node.text) == ("call", "posix.system")
    assert node.note == "would call posix.system when loaded"
    assert child(node, "(0)").text == f"touch {marker}"
    assert not marker.exists()


@pytest.mark.parametrize(
    ("program", "warning"),
    [
        (b"cos\nsystem\n(S'id'\ntR.", "calls os.system when loaded"),
        (b"(S'id'\nios\nsystem\n.", "calls os.system when loaded"),
        (b"(cnt\nsystem\nS'id'\no.", "calls nt.system when loaded"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "calls builtins.eval when loaded"),
        (b"crunpy\nrun_path\n(S'x'\ntR.", "calls runpy.run_path when loaded"),
        (b"csubprocess\nPopen\n(S'x'\ntR.", "calls subprocess.Popen when loaded"),
        (b"cshop.jobs\nstart\n(tR.", "calls shop.jobs.start when loaded"),
        (b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR(tR.", "calls the result of another call when loaded"),
        (b"\x80\x04\x8c\x04shop\x8c\x09os.system\x93)R.", "calls shop.os.system when loaded"),
        (b"\x80\x04\x8c\x04shop\x8c\x10subprocess.Popen\x93)R.", "calls shop.subprocess.Popen when loaded"),
        (b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93)\x81.", "calls subprocess.Popen when loaded"),
        (b"ccopyreg\n__newobj__\n(csubprocess\nPopen\ntR.", "calls subprocess.Popen when loaded"),
        (b"cshop.conf\nsettings\n}S'DEBUG'\nI01\nsb.", "changes shop.conf.settings when loaded"),
        (b"cos\nenviron\nS'PATH'\nS'x'\ns.", "changes os.environ when loaded"),
    ],
)
def test_dangers_are_warned_of(program, warning):
    assert warning in look(program).warnings


def test_endless_and_shared_structures_become_references():
    loop: list[object] = [1]
    loop.append(loop)
    shown = look(pickle.dumps({"loop": loop}))
    assert child(shown.root, "loop", "1").kind == "ref"
    assert child(shown.root, "loop", "1").text == "the same as at loop"
    shared = {"a": 1}
    shown = look(pickle.dumps([shared, [shared]]))
    assert child(shown.root, "1", "0").text == "the same as at 0"


def test_what_was_read_before_the_damage_is_shown():
    data = pickle.dumps({"first": [1, 2, 3], "second": {"deep": "value"}, "third": "x" * 50})
    shown = look(data[:-30])
    assert child(shown.root, "first", "2").text == "3"
    assert child(shown.root, "second", "deep").text == "value"
    assert child(shown.root, "third").kind == "cut"
    assert any(note.startswith("malformed at byte") for note in shown.notes)
    assert shown.hex.startswith("0000  80 04")
    assert shown.truncated


def test_the_first_part_of_a_long_pickle_is_not_called_malformed():
    data = pickle.dumps([{"row": i, "text": "y" * 30} for i in range(2_000)])
    shown = look(data[:65_536], truncated=True)
    assert not any("malformed" in note for note in shown.notes)
    assert child(shown.root, "3", "row").text == "3"
    assert shown.truncated


@pytest.mark.parametrize("protocol", range(3, 6))
@pytest.mark.parametrize(("value", "kind"), [("héllo " * 40_000, "str"), (b"%PDF-1.7 \xff" * 40_000, "bytes")])
def test_a_text_that_goes_on_where_reading_stops_shows_its_beginning_and_length(value, kind, protocol):
    length = len(value.encode()) if isinstance(value, str) else len(value)
    shown = look(pickle.dumps(value, protocol)[:65_536], truncated=True)
    assert shown.root
    assert (shown.root.kind, shown.root.note) == (kind, f"the first 2000 of {length} bytes")
    assert shown.root.text.startswith(visible(value[:1_000]))
    assert shown.truncated
    within = look(pickle.dumps({"name": "report", "body": value}, protocol)[:65_536], truncated=True)
    assert child(within.root, "name").text == "report"
    assert child(within.root, "body").note == f"the first 2000 of {length} bytes"


def test_the_beginning_of_a_secret_is_masked():
    data = pickle.dumps({"password": "s3cret" * 20_000})[:65_536]
    assert child(look(data, truncated=True).root, "password").text.endswith("(120000 characters)")
    token = pickle.dumps("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w" * 5_000)[:65_536]
    shown = look(token, truncated=True)
    assert shown.root
    assert shown.root.kind == "masked"
    assert "dozjg" not in texts(shown)


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (b"\x80\x04\xff\xff", 2),
        (b"\x80\x04K\x01\x93.", 4),
        (b"\x80\x04.", 2),
        (b"\x80\x09N.", 0),
        (b"\x80\x04h\x05.", 2),
    ],
)
def test_garbage_names_the_byte(data, at):
    shown = look(data)
    if at:
        assert f"malformed at byte {at}" in shown.notes
    assert shown.hex


def test_bytes_after_the_end_are_noted():
    assert "3 bytes follow the end of the pickle." in look(pickle.dumps([1]) + b"abc").notes


@given(
    PLAIN, st.integers(0, 5), st.lists(st.tuples(st.integers(0, 500), st.binary(max_size=4)), max_size=4), st.booleans()
)
def test_mutated_pickles_never_raise(value, protocol, changes, cut):
    data = bytearray(pickle.dumps(value, protocol))
    for place, new in changes:
        at = place % len(data)
        data[at : at + len(new)] = new
    shown = look(bytes(data), truncated=cut)
    assert len(list(walk(shown.root))) <= 500
    assert texts(shown).isprintable() or "\n" in texts(shown)

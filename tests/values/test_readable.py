"""A value is judged by its bytes alone: what cannot be read any more, and why; nothing is imported, nothing runs."""

from __future__ import annotations

import gzip
import importlib
import json
import pickle
import sys
import types
import zlib
from pathlib import Path

import django
import pytest
from django.contrib.auth.models import Permission
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.caching.compression import Packed
from cache_admin.values.importable import Presence, presence
from cache_admin.values.parts import Name
from cache_admin.values.readable import FATAL, Fault, faults, sentence

PICKLE = Storage("pickle")
#: What opens compressed values and decodes old pickles' texts; the same modules, whatever a value names.
OPENERS = {"zstandard", "lz4", "compression", "_zstd", "encodings"}


class Basket:
    def __init__(self) -> None:
        self.items = [1, 2, 3]


def judge(data: bytes, storage: Storage = PICKLE, *, truncated: bool = False) -> list[tuple[str, str]]:
    found = faults(RawValue("string", len(data), data=data, truncated=truncated), storage)
    return [(fault.code, fault.detail) for fault in found]


def instance_of(module: str, name: str) -> bytes:
    """A pickle of an object whose class is named so."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81."


def test_what_the_alias_writes_is_fine() -> None:
    compressed = Storage("pickle", "zlib")
    value = {"basket": Basket(), "n": [1, 2.5, None], "text": "x" * 400}
    assert judge(pickle.dumps(value)) == []
    assert judge(zlib.compress(pickle.dumps(value)), compressed) == []
    assert judge(pickle.dumps(value), compressed) == []  # shorter values stay as they are
    assert judge(b"42") == judge(b"-7", Storage("json")) == []
    for document in ({"a": 1}, [1], "text", 3.5, None, True):
        assert judge(json.dumps(document).encode(), Storage("json")) == []


def test_a_class_that_is_gone_is_told_from_a_module_that_is_gone_and_one_not_loaded() -> None:
    assert judge(instance_of(__name__, "Gone")) == [("name", f"{__name__}.Gone")]
    assert judge(instance_of("tests.values.gone", "A")) == [("module", "tests.values.gone.A")]
    assert judge(instance_of("no_such_package.models", "A")) == [("module", "no_such_package.models.A")]
    unloaded = next(name for name in ("antigravity", "this", "turtledemo") if name not in sys.modules)
    assert judge(instance_of(unloaded, "A")) == [("unloaded", f"{unloaded}.A")]
    assert unloaded not in sys.modules


def test_inner_names_are_looked_for_in_their_class() -> None:
    assert presence(Name(__name__, "Basket.__init__")) is Presence.FOUND
    assert presence(Name(__name__, "Basket.Inner")) is Presence.NO_NAME
    assert presence(Name("collections", "OrderedDict")) is Presence.FOUND


@pytest.mark.parametrize("module", ["", ".", "a..b", "../etc", "a/b", "os.path.x", "json.no_such", "é\x00"])
def test_odd_module_names_are_no_modules(module: str) -> None:
    assert presence(Name(module, "x")) is Presence.NO_MODULE


def test_nothing_is_imported_or_asked_of_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "loud_package"
    package.mkdir()
    (package / "__init__.py").write_text("print('imported'); raise SystemExit")
    (package / "inner.py").write_text("print('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = set(sys.modules)
    assert presence(Name("loud_package", "A")) is Presence.NOT_LOADED
    assert presence(Name("loud_package.inner", "A")) is Presence.NOT_LOADED
    assert presence(Name("loud_package.other", "A")) is Presence.NO_MODULE

    lazy = types.ModuleType("lazy_module")
    asked: list[str] = []
    lazy.__getattr__ = asked.append  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    assert presence(Name("lazy_module", "A")) is Presence.UNTOLD
    assert set(sys.modules) - before <= {"lazy_module"}
    assert asked == []
    assert capsys.readouterr().out == ""


def test_a_pickle_that_would_run_a_command_is_named_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    command = f"touch {marker}".encode()
    hostile = b"cposix\nsystem\n(S'" + command + b"'\ntR."
    assert judge(hostile) == [("calls", "posix.system")]
    assert judge(zlib.compress(hostile), Storage("pickle", "zlib")) == [("calls", "posix.system")]
    nested = pickle.dumps(Packed("zlib", zlib.compress(hostile)))
    assert ("calls", "posix.system") in judge(nested)
    assert ("calls", "builtins.eval") in judge(b"cbuiltins\neval\n(S'1'\ntR.")
    assert not marker.exists()


def test_models_are_looked_for_among_the_installed_ones() -> None:
    stored = pickle.dumps(Permission(name="x"))
    assert judge(stored) == []
    gone = stored.replace(b"Permission", b"Permissiom")
    assert ("model", "auth.Permissiom") in judge(gone)
    other = stored.replace(django.__version__.encode(), b"0" * len(django.__version__))
    assert judge(other) == [("django", "0" * len(django.__version__))]


def test_another_serializer_or_compressor_than_the_aliases_is_told() -> None:
    value = {"a": [1] * 50}
    assert judge(json.dumps(value).encode()) == [("serializer", "json")]
    assert judge(b"plain words") == [("serializer", "text")]
    assert judge(pickle.dumps(value), Storage("json")) == [("serializer", "pickle")]
    assert judge(gzip.compress(pickle.dumps(value)), Storage("pickle", "zlib")) == [("compressor", "gzip")]
    assert judge(zlib.compress(pickle.dumps(value))) == [("compressor", "zlib")]
    # Of a serializer of the project's own nothing is known, so nothing is said.
    assert judge(b"\x00anything", Storage("shop.serializers.Own")) == []
    assert judge(gzip.compress(b"anything"), Storage("shop.serializers.Own", "zlib")) == []


def test_damage_and_protocols_to_come_are_told() -> None:
    whole = pickle.dumps(list(range(100)))
    assert judge(whole[:-20]) == [("malformed", "")]
    assert judge(b"\x80\x06" + whole[2:]) == [("protocol", "6")]
    assert judge(b"\x80\xf0\x9f\x00\xff") == [("malformed", "")]
    assert judge(b"") == [("serializer", "text")]


def test_of_a_part_only_what_it_shows_is_judged() -> None:
    long = pickle.dumps(["x" * 1000] * 10 + [Basket()])
    assert judge(long[:5_00], truncated=True) == []
    assert judge(instance_of(__name__, "Gone")[:-1] + b"X" * 30, truncated=True)[0] == ("name", f"{__name__}.Gone")
    assert judge(json.dumps(["x"] * 500).encode()[:300], Storage("json"), truncated=True) == []


def test_collections_are_no_values_of_a_cache() -> None:
    assert faults(RawValue("hash", 1, entries=((b"f", b"v"),)), PICKLE) == ()


@given(st.binary(max_size=300), st.sampled_from(["pickle", "json", "msgpack", "", "own.Serializer"]), st.booleans())
def test_no_bytes_make_it_fail(data: bytes, serializer: str, truncated: bool) -> None:
    before = set(sys.modules)
    for code, _detail in judge(data, Storage(serializer), truncated=truncated):
        assert sentence(Fault(code), Storage(serializer), django_version="5.2")
    assert {name.partition(".")[0] for name in set(sys.modules) - before} <= OPENERS


def test_every_fault_has_a_sentence() -> None:
    for code in (*FATAL, "unloaded", "django", "calls"):
        told = sentence(Fault(code, "shop.models.Thing"), PICKLE, django_version="5.2")
        assert not told.startswith(code), code
        assert "%" not in told

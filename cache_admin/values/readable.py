"""Could the application still read this value? Judged from its bytes, without loading or importing any of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import django
from django.utils.translation import gettext as _

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.keys import show
from cache_admin.values import pickles
from cache_admin.values.callables import verdict
from cache_admin.values.codecs import Decoded, decode
from cache_admin.values.compression import inflate
from cache_admin.values.familiar import model_label
from cache_admin.values.importable import Presence, model_is_there, presence
from cache_admin.values.parts import Call, Container, Missing, Name
from cache_admin.values.sealed import PACKED, packed_bytes
from cache_admin.values.tree import Budget

MAX_PARTS = 5_000  #: parts of one value that are walked
MAX_FAULTS = 20  #: of one value
MAX_DETAIL = 200  #: characters
#: What makes a value unreadable; the other codes are worth a word only.
FATAL = frozenset({"name", "module", "model", "protocol", "serializer", "compressor", "closed", "malformed"})
#: Modules whose functions no cached value has a reason to call.
_ARMS = frozenset(
    {
        "os", "posix", "nt", "subprocess", "_posixsubprocess", "pty", "runpy", "code", "importlib", "shutil", "socket",
        "webbrowser", "ctypes", "pickle", "_pickle", "marshal", "multiprocessing", "signal", "sys", "threading",
    }
)  # fmt: skip
_ARMED_BUILTINS = frozenset({"eval", "exec", "compile", "__import__", "open", "breakpoint", "input"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a value. ``code`` says what, ``detail`` with what: a dotted name, a version."""

    code: str
    detail: str = ""

    @property
    def fatal(self) -> bool:
        """The application cannot read the value."""
        return self.code in FATAL


def faults(stored: RawValue, storage: Storage) -> tuple[Fault, ...]:
    """What is wrong with a value that an alias with ``storage`` is to read; empty for one that is fine. Never raises.

    Of a part of a value (``truncated``) only what that part shows is judged. Collections are no values of a cache.
    """
    if stored.type != "string":
        return ()
    budget = Budget()
    complete = not stored.truncated
    found = decode(stored.data, storage, budget, complete=complete)
    if found.serializer == "integer":
        return ()
    wrong = dict.fromkeys(_layers(found, storage, complete))
    names = dict.fromkeys(found.names)
    for fault in _walk(found.item, names, budget, complete):
        wrong[fault] = None
    for name in names:
        if (seen := presence(name)) not in {Presence.FOUND, Presence.UNTOLD}:
            wrong[Fault(seen.value, _said(name.full))] = None
    return tuple(wrong)[:MAX_FAULTS]


def _layers(found: Decoded, storage: Storage, complete: bool) -> Iterator[Fault]:
    """Compressor and serializer against those of the alias, as far as these are known kinds."""
    known = storage.serializer and "." not in storage.serializer + storage.compressor
    if known and found.compressor and found.compressor != storage.compressor:
        yield Fault("compressor", found.compressor)
        return
    if found.payload is None:
        yield Fault("closed", found.compressor)
        return
    if found.malformed:
        yield Fault("malformed")
        return
    wanted, kind = storage.serializer, found.serializer.partition(" ")[0]
    if not wanted or "." in wanted or kind == wanted:
        return
    if wanted == "pickle" and found.payload[:1] == b"\x80" and _is_protocol(found.payload[1:2]):
        yield Fault("protocol", str(found.payload[1]))
    elif complete or kind in {"pickle", "msgpack"}:
        # A cut text may be the beginning of anything.
        yield Fault("malformed" if kind == "bytes" else "serializer", "" if kind == "bytes" else kind)


def _is_protocol(byte: bytes) -> bool:
    """Whether it may be the number of a protocol to come."""
    return bool(byte) and pickles.HIGHEST_PROTOCOL < byte[0] < 32


def _walk(item: object, names: dict[Name, None], budget: Budget, complete: bool) -> Iterator[Fault]:
    """Models that are gone, other versions of Django, calls that no value needs; adds the names in compressed parts."""
    waiting, seen, left = [item], set[int](), MAX_PARTS
    while waiting and left:
        part = waiting.pop()
        if not isinstance(part, (Container, Call)) or id(part) in seen:
            continue
        seen.add(id(part))
        left -= 1
        if isinstance(part, Container):
            waiting += part.items[:left]
            continue
        yield from _call(part)
        waiting += [*part.args, *part.states, *part.appended[:left], *part.assigned[:left], part.kwargs, part.callee]
        if part.name == PACKED and (data := packed_bytes(part)) is not None:
            opened = inflate(data, complete=complete, limit=budget.inflate)
            if opened.data is None:
                yield Fault("closed", opened.compressor)
                continue
            inner = pickles.read(opened.data, budget, complete and not opened.truncated)
            names.update(dict.fromkeys(inner.names))
            if inner.malformed:
                yield Fault("malformed")
            waiting.append(inner.item)


def _call(call: Call) -> Iterator[Fault]:
    label = model_label(call)
    if label and not model_is_there(*label.split(".", 1)):
        yield Fault("model", _said(label))
    version = next((value for name, value in call.fields() if name == "_django_version"), Missing.VALUE)
    if isinstance(version, str) and version != django.__version__:
        yield Fault("django", _said(version))
    if call.how == "call" and verdict(call.callee) == "risky" and isinstance(call.callee, Name):
        module, name = call.callee.module.partition(".")[0], call.callee.name
        if module in _ARMS or (module == "builtins" and name in _ARMED_BUILTINS):
            yield Fault("calls", _said(call.name))


def _said(text: str) -> str:
    """A text out of a value, for storing and showing."""
    return show(text[:MAX_DETAIL].encode("utf-8", "surrogatepass"))


def sentence(fault: Fault, storage: Storage, *, django_version: str) -> str:
    """What is wrong, for people. ``django_version`` is that of the Django that looked."""
    words = {
        "detail": fault.detail,
        "serializer": storage.serializer,
        "version": django_version,
        "highest": pickles.HIGHEST_PROTOCOL,
        "compressor": storage.compressor or _("no compression"),
    }
    return _SENTENCES.get(fault.code, lambda: "%(code)s %(detail)s")() % {**words, "code": fault.code}


_SENTENCES = {
    "name": lambda: _("needs %(detail)s, which is not there any more"),
    "module": lambda: _("needs %(detail)s, and there is no such module"),
    "unloaded": lambda: _("needs %(detail)s; its module is not loaded here, so nobody looked whether it has it"),
    "model": lambda: _("holds a model %(detail)s that is not installed"),
    "django": lambda: _("pickled by Django %(detail)s; this is %(version)s"),
    "protocol": lambda: _("a pickle of protocol %(detail)s; this Python reads up to %(highest)s"),
    "serializer": lambda: _("holds %(detail)s, but the alias reads %(serializer)s"),
    "compressor": lambda: _("compressed with %(detail)s, but the alias reads %(compressor)s"),
    "closed": lambda: _("compressed with %(detail)s, which cannot be opened here"),
    "malformed": lambda: _("damaged: its bytes are not those of a whole value"),
    "calls": lambda: _("would call %(detail)s when loaded"),
}

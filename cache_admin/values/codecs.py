"""Finds out by looking which serializer wrote a value, and reads it into parts. The alias's settings are only a hint:
values outlive settings, and other programs write into the same server.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from cache_admin.adapters.base import Storage
from cache_admin.values import messagepack, pickles
from cache_admin.values.compression import inflate, layer
from cache_admin.values.parts import Container, Missing, Name, Reading
from cache_admin.values.tree import MAX_NESTING, Budget

_INTEGER = re.compile(rb"-?\d{1,30}")
_JSON_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """One stored string, read. ``item`` is a leaf or part, ``Missing.VALUE`` where only the bytes can be shown."""

    serializer: str
    compressor: str
    payload: bytes | None  #: inflated; None where it could not be
    item: object
    truncated: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()  #: what loading it would import
    malformed: bool = False


def decode(data: bytes, storage: Storage, budget: Budget, *, complete: bool = True) -> Decoded:
    """Reads one stored string without running any of it. ``complete`` says that ``data`` is all of it."""
    if complete and _INTEGER.fullmatch(data):
        return Decoded("integer", "", data, int(data))
    opened = inflate(data, complete=complete, limit=budget.inflate, hint=storage.compressor)
    notes = list(opened.notes)
    if opened.data is None:
        return Decoded("bytes", opened.compressor, None, Missing.VALUE, not complete, tuple(notes))
    if opened.compressor:
        budget.inflate -= len(opened.data)
        if inner := layer(opened.data):
            notes.append(_("Holds another compressed layer (%s); only one is opened.") % inner)
    whole = complete and not opened.truncated
    serializer, found = _read(opened.data, storage.serializer, budget, whole)
    notes += [note for note in (found.problem, *found.notes) if note]
    if serializer == "bytes":
        notes += [
            _("The alias writes with %s, which cannot be read here.") % name
            for name in (storage.serializer, storage.compressor)
            if "." in name
        ]
    truncated = not whole or bool(found.problem)
    return Decoded(
        serializer,
        opened.compressor,
        opened.data,
        found.item,
        truncated,
        tuple(notes),
        found.warnings,
        found.names,
        found.malformed,
    )


def _read(data: bytes, hint: str, budget: Budget, whole: bool) -> tuple[str, Reading]:
    """The serializer's name and what it wrote. What marks itself comes first, then what the alias would write, then
    what fits without a doubt."""
    if hint == "msgpack":
        found = messagepack.read(data, budget, whole)
        if data and (not found.problem or isinstance(found.item, Container)):
            return "msgpack", found
    if data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return _pickle(pickles.read(data, budget, whole))
    if hint in {"pickle", ""} and data and (data.endswith(b".") or not whole):
        trial = replace(budget)
        found = pickles.read(data, trial, whole)
        if not found.problem and not found.notes and (whole or hint):
            budget.operations = trial.operations
            return _pickle(found)
    if (hint == "json" or data[:64].lstrip()[:1] in {b"{", b"[", b'"'}) and (document := _json(data, budget, whole)):
        return "json", document
    if (text := _text(data, whole)) is not None:
        return "text", Reading(text)
    if hint == "pickle" and (found := pickles.read(data, budget, whole)).item is not Missing.VALUE:
        return _pickle(found)
    if whole and not hint:
        found = messagepack.read(data, replace(budget), whole)
        if not found.problem and isinstance(found.item, Container):
            return "msgpack", found
    return "bytes", Reading(Missing.VALUE)


def _pickle(found: Reading) -> tuple[str, Reading]:
    return f"pickle {found.protocol}", found


def _text(data: bytes, whole: bool) -> str | None:
    """UTF-8 without control characters that no text has; a part may end within a character."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def _json(data: bytes, budget: Budget, whole: bool) -> Reading | None:
    """A JSON document, checked for depth before the parser sees it. Of a part, or of one with very many entries, the
    entries up to the last comma that the budget allows, with the open brackets closed."""
    brackets: list[bytes] = []
    end, closing = 0, b""
    for match in _JSON_TOKEN.finditer(data):
        budget.operations -= 1
        if budget.operations <= 0:
            break
        token = match[0]
        if token in {b"{", b"["}:
            brackets.append(b"}" if token == b"{" else b"]")
            if len(brackets) > MAX_NESTING:
                return Reading(Missing.VALUE, _("too deep"))
        elif token in {b"}", b"]"}:
            if not brackets:
                return None
            brackets.pop()
        if token in {b"{", b"["}:
            end, closing = match.end(), b"".join(reversed(brackets))
        elif token == b",":
            end, closing = match.start(), b"".join(reversed(brackets))
    short = budget.operations <= 0
    try:
        document = json.loads(data if whole and not short else data[:end] + closing, object_pairs_hook=_mapping)
    except ValueError:
        return None
    return Reading(
        _part(document), _("The document is too long to be read whole; its first part is shown.") if short else ""
    )


def _mapping(entries: list[tuple[str, object]]) -> Container:
    return Container("dict", [item for entry in entries for item in entry])


def _part(item: object) -> object:
    if isinstance(item, list):
        return Container("list", [_part(entry) for entry in item])
    if isinstance(item, Container):
        item.items = [_part(entry) for entry in item.items]
    return item

"""Turns parts into nodes: bounded in depth and number, every secret masked on the way."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin.caching.envelope import MARK
from cache_admin.values.callables import verdict
from cache_admin.values.familiar import HERD_MARKER, Told, model_label, reading
from cache_admin.values.masking import DOTS, Mask, dots
from cache_admin.values.parts import Beginning, Call, Container, Missing, Name, pairs
from cache_admin.values.tree import MAX_DEPTH, MAX_TEXT, Budget, Node, visible

MAX_LABEL = 200
RESERVED = 20  #: siblings that get a node each before the children of an earlier one use the budget up
_MAX_BITS = 4_000  #: longer integers are told by their length: writing them in decimal takes quadratic time
_BOOKKEEPING = frozenset({"_state", "_django_version"})
_HERD_LABELS = ("marker", "value", "expires")
#: Of what the caching library stores, see :mod:`cache_admin.caching.envelope`.
_SEALED_LABELS = ("marker", "computed", "fresh until", "seconds", "tags", "arguments", "value")


class Outline:
    """Grows the tree of one preview. ``masked`` counts masked leaves, ``cut`` says that something was left out."""

    def __init__(self, mask: Mask, budget: Budget) -> None:
        self.mask = mask
        self.budget = budget
        self.masked = 0
        self.cut = False
        self._reserved = 0
        self._seen: dict[int, str] = {}  #: id of a part -> where it stands

    def grow(self, item: object, label: str = "", path: str = "", depth: int = 0) -> Node:
        """The node of one item and what is in it. Items must stay alive while the tree grows."""
        self.budget.nodes -= 1
        if not isinstance(item, (Container, Call)):
            return self._leaf(item, label)
        found = reading(item) if isinstance(item, Call) else None
        note = item.name if isinstance(item, Call) and found is not None else ""
        if isinstance(found, Told):
            return self._text("object", found.text, label, note)
        if isinstance(found, str):
            return self._leaf(found, label, note)
        if id(item) in self._seen:
            return Node("ref", label, _("the same as at %s") % (self._seen[id(item)] or _("the top")))
        part = found or item
        if isinstance(part, Call):
            kind, text, note = _title(part)
            children = self._attributes(part)
        else:
            kind, text = part.kind.removeprefix("frozen"), self.entries(len(part))
            note = note or ("frozenset" if part.kind == "frozenset" else "")
            children = self._items(part)
        if not isinstance(item, Container) or len(item):
            self._seen[id(item)] = path
        return Node(kind, label, text, tuple(self._children(children, path, depth)), note)

    def _children(self, children: Iterator[tuple[str, object, bool]], path: str, depth: int) -> Iterator[Node]:
        rows = list(children)
        for i, (label, item, secret) in enumerate(rows):
            # Room for this one, a word on what of it is not shown, and a word on those after it.
            room = self.budget.nodes - self._reserved >= (3 if i + 1 < len(rows) else 2)
            if depth + 1 >= MAX_DEPTH or not room or self.budget.late:
                self.cut = True
                self.budget.nodes -= 1
                yield self.rest(len(rows) - i)
                return
            later = 2 * min(len(rows) - i - 1, RESERVED)
            self._reserved += later
            place = f"{path} \u203a {label}" if path else label
            yield self.hide(item, label) if secret else self.grow(item, label, place, depth + 1)
            self._reserved -= later

    def _items(self, part: Container) -> Iterator[tuple[str, object, bool]]:
        """Label, item and whether it must be hidden, for each entry."""
        if part.kind == "dict":
            for key, value in pairs(part.items):
                yield self.label(key), value, self.mask.field(key)
            return
        # A pair such as ("authorization", "...") is a field too: headers come as lists of pairs.
        secret = len(part.items) == 2 and self.mask.field(part.items[0])
        ordered = part.kind in {"list", "tuple"}
        labels = _labels(part)
        for i, item in enumerate(part.items):
            yield labels[i] if labels else str(i) if ordered else "", item, secret and i == 1

    def _attributes(self, call: Call) -> Iterator[tuple[str, object, bool]]:
        model = model_label(call)
        for i, item in enumerate([] if model else call.args):
            yield f"({i})", item, False
        for name, value in pairs(call.kwargs.items if call.kwargs else []):
            yield self.label(name), value, self.mask.field(name)
        # A queryset's rows before the long story of its query.
        for name, value in sorted(call.fields(), key=lambda field: field[0] != "_result_cache"):
            if name not in _BOOKKEEPING or not isinstance(name, str):
                yield self.label(name), value, self.mask.field(name)
        for i, item in enumerate(call.appended):
            yield f"[{i}]", item, False
        for key, value in pairs(call.assigned):
            yield f"[{self.label(key)}]", value, self.mask.field(key)

    def label(self, key: object) -> str:
        """A key, index or field name in one line."""
        text = key if isinstance(key, str) else _brief(key)
        if self.mask.shape(text[: 2 * MAX_LABEL]):
            self.masked += 1
            return DOTS
        return visible(text, MAX_LABEL) + ("\u2026" if len(text) > MAX_LABEL else "")

    def hide(self, item: object, label: str) -> Node:
        """The node of an item that must not be seen. None, True and False are no secrets."""
        if item is None or isinstance(item, bool):
            return self.grow(item, label)
        self.budget.nodes -= 1
        self.masked += 1
        return Node("masked", label, dots(_length(item)))

    @staticmethod
    def rest(count: int) -> Node:
        """What stands for the entries that are left out."""
        return Node("cut", "", ngettext("%d more, not shown", "%d more, not shown", count) % count)

    @staticmethod
    def entries(count: int) -> str:
        """The summary of a container."""
        return ngettext("%d entry", "%d entries", count) % count

    def _leaf(self, item: object, label: str, note: str = "") -> Node:
        if isinstance(item, (bytes, bytearray)):
            kind_note = note or ("bytearray" if isinstance(item, bytearray) else "")
            part = bytes(item[: 2 * MAX_TEXT])
            return self._text("bytes", part.decode("latin-1"), label, kind_note, len(item), visible(part))
        if isinstance(item, str):
            return self._text("str", item, label, note)
        if isinstance(item, Beginning):
            return self._beginning(item, label)
        if isinstance(item, Name):
            return self._text("object", item.full, label, _("only named; loading would import it"))
        if item is Missing.VALUE:
            self.cut = True
            return Node("cut", label, _("not read"))
        return self._text(_scalar_kind(item), _scalar(item), label, note)

    def _text(self, kind: str, text: str, label: str, note: str = "", length: int = -1, shown: str = "") -> Node:
        length = len(text) if length < 0 else length
        if self.mask.shape(text[: 2 * MAX_TEXT]):
            self.masked += 1
            return Node("masked", label, dots(length), note=note)
        if length > MAX_TEXT:
            self.cut = True
            note = (_("the first %(shown)d of %(length)d") % {"shown": MAX_TEXT, "length": length}) + (
                note and f"; {note}"
            )
        return Node(kind, label, shown or visible(text), note=note)

    def _beginning(self, item: Beginning, label: str) -> Node:
        self.cut = True
        part = item.content[: 2 * MAX_TEXT]
        if self.mask.shape(part.decode("utf-8" if item.kind == "str" else "latin-1", "replace")):
            self.masked += 1
            return Node("masked", label, dots(item.length))
        shown = min(len(item.content), MAX_TEXT)
        note = _("the first %(shown)d of %(length)d bytes") % {"shown": shown, "length": item.length}
        return Node(item.kind, label, visible(part), note=note)


def _labels(part: Container) -> tuple[str, ...]:
    """Names for the items of a tuple that is known."""
    if is_herd(part):
        return _HERD_LABELS
    return _SEALED_LABELS if part.items[:1] == [MARK] and len(part.items) == len(_SEALED_LABELS) else ()


def is_herd(item: object) -> bool:
    """Whether this is django-redis's HerdClient wrapping: (marker, value, expiry in Unix seconds)."""
    if not isinstance(item, Container) or item.kind != "tuple" or len(item.items) != 3:
        return False
    marker = item.items[0]
    return isinstance(marker, Call) and marker.name == HERD_MARKER


def _title(call: Call) -> tuple[str, str, str]:
    """Kind, text and note of an object's node."""
    known = verdict(call.callee)
    name = visible(call.name, MAX_LABEL) or _("the result of another call")
    stored = {key: value for key, value in call.fields() if isinstance(key, str)}
    version, status = stored.get("_django_version"), stored.get("status_code")
    notes = []
    if call.how == "call" and known != "known":
        notes.append(_("would call %s when loaded") % name)
    elif known == "risky":
        notes.append(_("would make a %s when loaded") % name)
    if isinstance(version, str):
        notes.append(_("stored by Django %s") % visible(version, 20))
    if isinstance(status, int) and call.name.startswith("django."):
        notes.append(_("status %s") % _scalar(status))
    model = model_label(call)
    calls = call.how == "call" and known not in {"known", "class"}
    return "call" if calls else "object", visible(model, MAX_LABEL) or name, "; ".join(notes)


def _length(item: object) -> int | None:
    """How long a secret is that must not be seen; None where its length means nothing."""
    if isinstance(item, Beginning):
        return item.length
    return len(item) if isinstance(item, (str, bytes, bytearray)) else None


def _scalar_kind(item: object) -> str:
    if item is None:
        return "none"
    return type(item).__name__ if isinstance(item, (bool, int, float)) else "object"


def _scalar(item: object) -> str:
    if isinstance(item, int) and item.bit_length() > _MAX_BITS:
        return _("an integer of %d bits") % item.bit_length()
    return str(item)


def _brief(item: object, depth: int = 2) -> str:
    """A key that is no text, in one line."""
    if isinstance(item, (str, bytes, bytearray)):
        return repr(item[:MAX_LABEL])
    if isinstance(item, Beginning):
        return f"{item.content[:MAX_LABEL]!r}\u2026"
    if isinstance(item, Name):
        return item.full
    if isinstance(item, Call):
        found = reading(item)
        return found.text if isinstance(found, Told) else f"{item.name}(\u2026)"
    if isinstance(item, Container):
        inner = ", ".join(_brief(entry, depth - 1) for entry in item.items[:5]) if depth else "\u2026"
        return f"({inner})" if item.kind == "tuple" else f"{item.kind}({inner})"
    return _scalar(item)

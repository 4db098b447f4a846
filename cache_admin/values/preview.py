"""A stored value turned into a bounded tree of text: inflated with a limit, parsed without running, masked by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from django.utils.translation import gettext as _

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.values.codecs import Decoded, decode
from cache_admin.values.masking import Mask, dots
from cache_admin.values.outline import Outline, is_herd
from cache_admin.values.parts import Container, Missing
from cache_admin.values.tree import (
    INFLATE_LIMIT,
    MAX_DEPTH,
    MAX_NODES,
    MAX_RAW_TEXT,
    MAX_TEXT,
    READ_LIMIT,
    Budget,
    Node,
    Preview,
    hex_dump,
    visible,
)

__all__ = ["INFLATE_LIMIT", "MAX_DEPTH", "MAX_NODES", "MAX_TEXT", "READ_LIMIT", "Node", "Preview", "preview"]

_KINDS = {"hash": "dict", "list": "list", "set": "set", "zset": "list", "stream": "dict"}


def preview(value: RawValue, storage: Storage, key_text: str = "", *, reveal: bool = False) -> Preview:
    """What a value holds. Never raises, whatever the bytes; nothing of them is imported or run.

    ``storage`` is the alias's hint, ``key_text`` the user key (without prefix and version), held against
    ``MASKED_KEYS``. ``reveal`` shows what the settings mask; ask for the permission before.

    The children of a collection are labelled with the field (hash), index (list), score (sorted set) or id (stream).
    """
    mask = Mask.current(reveal=reveal)
    budget = Budget()
    outline = Outline(mask, budget)
    if value.type == "string":
        found = decode(value.data, storage, budget, complete=not value.truncated)
        root = None if found.item is Missing.VALUE else outline.grow(found.item)
        decoded = [found]
        notes = list(found.notes)
        if is_herd(found.item):
            notes.append(_herd_note(found.item))
        stored = value.data
        shown = stored if found.payload is None else found.payload
        clear = shown
    else:
        root, decoded = _collection(value, storage, outline, budget)
        notes = []
        stored = b"".join(item for entry in value.entries for item in entry)
        shown = b"\n".join(b"\t".join(entry) for entry in value.entries)
        clear = b"\n".join([shown, *(found.payload or b"" for found in decoded if found.compressor)])
    masked = outline.masked
    withheld = bool(masked) or mask.leaks(clear)
    if whole := mask.key(key_text):
        root, masked, withheld, notes = Node("masked", "", dots(len(stored))), 1, True, []
    if withheld:
        notes.append(
            _("All of this key is masked by MASKED_KEYS.")
            if whole
            else _("Raw text and hex are withheld: they hold, or may hold, what is masked.")
        )
    if outline.cut:
        notes.append(_("Too large to be shown whole."))
    return Preview(
        serializer=_one([found.serializer for found in decoded]),
        compressor=_one([found.compressor for found in decoded]),
        stored=len(stored),
        inflated=sum(len(found.payload) for found in decoded if found.payload is not None),
        truncated=value.truncated or outline.cut or any(found.truncated for found in decoded),
        root=root,
        raw_text="" if withheld else visible(shown, MAX_RAW_TEXT),
        hex="" if withheld or value.type != "string" else hex_dump(stored),
        masked=masked,
        notes=tuple(dict.fromkeys((*value.notes, *notes))),
        warnings=tuple(dict.fromkeys(warning for found in decoded for warning in found.warnings)),
    )


def _collection(
    value: RawValue, storage: Storage, outline: Outline, budget: Budget
) -> tuple[Node | None, list[Decoded]]:
    """The root of a collection, each entry decoded on its own, and what decoding found."""
    budget.nodes -= 2  # the root, and a word on what is not shown
    decoded: list[Decoded] = []
    children: list[Node] = []

    def child(data: bytes, label: str, secret: bool = False) -> Node:
        found = decode(data, storage, budget, complete=len(data) < READ_LIMIT)
        decoded.append(found)
        item = data if found.item is Missing.VALUE else found.item
        node = outline.hide(item, label) if secret else outline.grow(item, label, label, 1)
        return replace(node, note="; ".join(filter(None, (node.note, *found.notes)))) if found.notes else node

    for i, entry in enumerate(value.entries):
        if budget.nodes <= len(entry) or budget.spent:
            outline.cut = True
            children.append(outline.rest(len(value.entries) - i))
            break
        label = outline.label(visible(entry[0])) if entry and value.type in {"hash", "stream"} else ""
        match value.type, entry:
            case "hash", (field, content):
                children.append(child(content, label, outline.mask.field(field)))
            case "zset", (member, score):
                children.append(child(member, visible(score, 40)))
            case "stream", (_identifier, *rest):
                budget.nodes -= 1
                fields = zip(rest[::2], rest[1::2], strict=False)
                inner = tuple(
                    child(data, outline.label(visible(name)), outline.mask.field(name)) for name, data in fields
                )
                children.append(Node("dict", label, outline.entries(len(inner)), inner))
            case _:
                children += [child(item, str(i) if value.type == "list" else "") for item in entry]
    if value.type not in _KINDS and not value.entries:
        return None, decoded
    kind, text = _KINDS.get(value.type, "list"), outline.entries(value.length)
    if value.type == "zset":
        text = _("%(entries)s, scores before members") % {"entries": text}
    return Node(kind, "", text, tuple(children)), decoded


def _one(names: list[str]) -> str:
    """The name they all have, "mixed" for several."""
    return names[0] if len(set(names)) == 1 else "mixed" if names else ""


def _herd_note(item: object) -> str:
    expiry = item.items[2] if isinstance(item, Container) else None
    try:
        moment = datetime.fromtimestamp(expiry, UTC) if isinstance(expiry, (int, float)) else None
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None:
        return _("Wrapped by HerdClient: marker, value, expiry.")
    return _("Wrapped by HerdClient: marker, value, expiry; stale after %s UTC.") % f"{moment:%Y-%m-%d %H:%M:%S}"

"""Short ways to a preview, and to what its tree says."""

from __future__ import annotations

from collections.abc import Iterator

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.values.preview import Node, Preview, preview


def look(data: bytes, storage: Storage | None = None, *, reveal: bool = False, truncated: bool = False) -> Preview:
    value = RawValue("string", len(data), data=data, truncated=truncated)
    return preview(value, storage or Storage("pickle"), reveal=reveal)


def walk(node: Node | None) -> Iterator[Node]:
    if node is not None:
        yield node
        for child in node.children:
            yield from walk(child)


def texts(shown: Preview) -> str:
    """Everything of a preview that a page could print."""
    nodes = [text for node in walk(shown.root) for text in (node.label, node.text, node.note)]
    return "\n".join([*nodes, shown.raw_text, shown.hex, *shown.notes, *shown.warnings])


def depth(node: Node | None) -> int:
    return 0 if node is None else 1 + max(map(depth, node.children), default=0)


def child(node: Node | None, *labels: str) -> Node:
    """The node under a path of labels."""
    for label in labels:
        assert node is not None
        node = next(child for child in node.children if child.label == label)
    assert node is not None
    return node

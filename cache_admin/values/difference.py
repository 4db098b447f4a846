"""Two values side by side, line by line: what is the same, what is gone, what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from cache_admin.values.masking import Mask
from cache_admin.values.outline import Outline
from cache_admin.values.tree import Budget, Node

#: Equal lines shown before and after a difference.
CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """``verdict`` "skipped" stands for ``count`` equal lines that are left out."""

    verdict: Literal["equal", "cached", "fresh", "skipped"]
    depth: int = 0
    label: str = ""
    text: str = ""
    kind: str = ""
    count: int = 1

    @property
    def indent(self) -> str:
        return "\u2003" * self.depth


@dataclass(frozen=True, slots=True)
class Difference:
    lines: tuple[Line, ...]
    equal: bool  #: no difference in what was compared
    masked: int  #: parts that are masked and were not compared
    cut: bool  #: too large, so that only the first part was compared


def difference(cached: object, fresh: object) -> Difference:
    """Compares two parts as readers show them; the order of dicts and sets does not count."""
    old, new = _tree(cached), _tree(fresh)
    before, after = list(_lines(old[0])), list(_lines(new[0]))
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    lines: list[Line] = []
    for number, (tag, a, b, c, d) in enumerate(blocks):
        if tag == "equal":
            lines += _shortened(before[a:b], first=number == 0, last=number == len(blocks) - 1)
        else:
            lines += [Line("cached", *line) for line in before[a:b]]
            lines += [Line("fresh", *line) for line in after[c:d]]
    equal = all(block[0] == "equal" for block in blocks)
    return Difference(tuple(lines), equal, max(old[1].masked, new[1].masked), old[1].cut or new[1].cut)


_Row = tuple[int, str, str, str]


def _tree(item: object) -> tuple[Node, Outline]:
    outline = Outline(Mask.current(), Budget())
    return outline.grow(item), outline


def _lines(node: Node, depth: int = 0) -> Iterator[_Row]:
    yield depth, node.label, node.text, node.note or node.kind
    children = list(node.children)
    if node.kind == "dict":
        children.sort(key=lambda child: child.label)
    elif node.kind == "set":
        children.sort(key=lambda child: list(_lines(child)))
    for child in children:
        yield from _lines(child, depth + 1)


def _shortened(rows: list[_Row], *, first: bool, last: bool) -> Iterator[Line]:
    """Equal lines, those far from any difference folded into one."""
    start, end = 0 if first else CONTEXT, 0 if last else CONTEXT
    if first and last:
        start = end = CONTEXT * 4
    hidden = len(rows) - start - end
    if hidden <= 1:
        yield from (Line("equal", *row) for row in rows)
        return
    yield from (Line("equal", *row) for row in rows[:start])
    yield Line("skipped", count=hidden)
    yield from (Line("equal", *row) for row in rows[len(rows) - end :])

"""What the readers of serialized values make: plain Python leaves, and the few classes here for everything else.

A leaf is a ``str``, ``bytes``, ``bytearray``, ``int``, ``float``, ``bool`` or ``None``, or the ``Beginning`` of one.
Parts are compared by identity and may refer to each other in circles; whoever walks them must bound the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class Missing(Enum):
    """Stands where a value was cut off."""

    VALUE = "missing"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is there of a "str" or "bytes" that goes on where reading had to stop; ``length`` is that of the whole in
    bytes, as it was written down before it."""

    kind: str
    content: bytes
    length: int


@dataclass(slots=True, eq=False)
class Container:
    """``kind`` is "list", "tuple", "set", "frozenset" or "dict"; the items of a dict are key, value, key, value ..."""

    kind: str
    items: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return (len(self.items) + 1) // 2 if self.kind == "dict" else len(self.items)


@dataclass(frozen=True, slots=True)
class Name:
    """Something a pickle finds by importing ``module`` and looking up the dotted ``name`` in it."""

    module: str
    name: str

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Call:
    """An object that loading would make by calling ``callee`` (``how`` "call"), or by its ``__new__`` alone
    ("object")."""

    callee: object
    args: list[object]
    how: str = "call"
    kwargs: Container | None = None
    states: list[object] = field(default_factory=list)  #: given to ``__setstate__`` or put into ``__dict__``
    appended: list[object] = field(default_factory=list)
    assigned: list[object] = field(default_factory=list)  #: key, value, key, value ...

    @property
    def name(self) -> str:
        """The dotted name called, "" where that is itself the result of a call."""
        return self.callee.full if isinstance(self.callee, Name) else ""

    def fields(self) -> Iterator[tuple[object, object]]:
        """Attributes and values of all states; a state that is no mapping comes as ``("state", it)``."""
        for state in self.states:
            slots = state.items if isinstance(state, Container) and state.kind == "tuple" else []
            both = len(slots) == 2 and all(
                item is None or (isinstance(item, Container) and item.kind == "dict") for item in slots
            )
            for part in slots if both else [state]:
                if isinstance(part, Container) and part.kind == "dict":
                    yield from pairs(part.items)
                elif part is not None:
                    yield "state", part


def pairs(items: list[object]) -> Iterator[tuple[object, object]]:
    """Keys and values of a flat list; a last key without value gets ``Missing.VALUE``."""
    for i in range(0, len(items), 2):
        yield items[i], items[i + 1] if i + 1 < len(items) else Missing.VALUE


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found. ``problem`` is "" where everything was read, else a sentence for people."""

    item: object
    problem: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    protocol: int = 0  #: of a pickle
    names: tuple[Name, ...] = ()  #: what loading a pickle would import
    malformed: bool = False  #: ``problem`` is one of the bytes, not of how much may be read

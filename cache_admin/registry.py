"""One small registry for what is looked up by name: operations and panels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries by name, in the order of registration.

    ``kind`` is the noun for messages ("panel"). Registering another object under a taken name raises ``ValueError``;
    registering the same object again does nothing.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> T:
        if self._entries.setdefault(name, entry) is not entry:
            raise ValueError(f"A {self.kind} named {name!r} is registered already.")
        return entry

    def get(self, name: str) -> T:
        """The entry, or ``LookupError`` that lists the known names."""
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self._entries) or "none"
            raise LookupError(f"No {self.kind} named {name!r}; known: {known}.") from None

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._entries.values()))

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    @contextmanager
    def temporarily(self, name: str, entry: T) -> Iterator[T]:
        """Registers for the length of a ``with`` block; for tests."""
        before = dict(self._entries)
        self._entries[name] = entry
        try:
            yield entry
        finally:
            self._entries = before

"""Reads msgpack into parts. The library of that name sets aside room for every entry a header claims: eleven bytes can
ask for gigabytes. This reader believes a claim only as far as the bytes go.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct

from django.utils.translation import gettext as _

from cache_admin.values.parts import Beginning, Call, Container, Missing, Name, Reading
from cache_admin.values.tree import MAX_NESTING, Budget

_CONSTANTS: dict[int, object] = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
    0xD3: ">q",
}  # fmt: skip
#: Code -> (what it is, bytes of its length).
_SIZED = {
    0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("dict", 2),
    0xDF: ("dict", 4),
}  # fmt: skip


def read(data: bytes, budget: Budget, whole: bool = True) -> Reading:
    """What a msgpack document holds. ``problem`` says where and why reading stopped early. Of a part (``whole``
    False) no end is expected."""
    reader = _Reader(data, whole)
    problem = ""
    try:
        while reader.open:
            budget.operations -= 1
            if budget.operations <= 0 or (budget.operations % 128 == 0 and budget.spent):
                problem = _("The document is too long to be read whole; its first part is shown.")
                break
            if len(reader.open) > MAX_NESTING:
                problem = _("too deep")
                break
            reader.step()
    except _Short:
        problem = _("malformed at byte %d") % reader.start if whole else ""
    except ValueError:
        problem = _("malformed at byte %d") % reader.start
    left = len(data) - reader.at
    if left and not problem and whole:
        problem = _("%d bytes follow the end of the document.") % left
    return Reading(reader.root[0] if reader.root else Missing.VALUE, problem)


class _Short(ValueError):
    """The bytes end before the item does."""


class _Reader:
    def __init__(self, data: bytes, whole: bool) -> None:
        self.data = data
        self.whole = whole
        self.at = self.start = 0
        self.root: list[object] = []
        self.open: list[tuple[list[object], int]] = [(self.root, 1)]  #: lists and how long they shall become

    def step(self) -> None:
        """Reads one item into the innermost open list, or closes that."""
        items, length = self.open[-1]
        if len(items) >= length:
            self.open.pop()
            return
        self.start = self.at
        items.append(self.item(self.take(1)[0]))

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise _Short
        self.at += count
        return part

    def item(self, code: int) -> object:
        if code <= 0x7F or code >= 0xE0:
            return code if code <= 0x7F else code - 0x100
        if code <= 0x8F:
            return self.sized("dict", code & 0x0F)
        if code <= 0x9F:
            return self.sized("list", code & 0x0F)
        if code <= 0xBF:
            return self.sized("str", code & 0x1F)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            form = _NUMBERS[code]
            number: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
            return number
        if 0xD4 <= code <= 0xD8:
            return self.sized("ext", 1 << (code - 0xD4))
        if code in _SIZED:
            kind, width = _SIZED[code]
            return self.sized(kind, int.from_bytes(self.take(width), "big"))
        raise ValueError

    def sized(self, kind: str, length: int) -> object:
        if kind in {"str", "bytes"} and not self.whole and length > len(self.data) - self.at:
            return Beginning(kind, self.take(len(self.data) - self.at), length)
        if kind == "str":
            return self.take(length).decode("utf-8", "surrogateescape")
        if kind == "bytes":
            return self.take(length)
        if kind == "ext":
            (number,) = struct.unpack(">b", self.take(1))
            return Call(Name("msgpack", f"extension {number}"), [self.take(length)], "object")
        part = Container(kind)
        self.open.append((part.items, length * 2 if kind == "dict" else length))
        return part

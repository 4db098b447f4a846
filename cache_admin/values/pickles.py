"""Reads pickles without unpickling: ``pickletools.genops`` takes the bytes apart, a machine builds parts of them.

Bounded by the budget's operations and time.
"""

from __future__ import annotations

import io
import pickletools

from django.utils.translation import gettext as _

from cache_admin.values.machine import Machine, Malformed
from cache_admin.values.parts import Beginning, Reading
from cache_admin.values.tree import Budget

HIGHEST_PROTOCOL = 5

#: Operations with a text or bytes of any length in them: code -> what it is, and bytes of its length.
_LONG = {b"B": ("bytes", 4), b"\x8e": ("bytes", 8), b"\x96": ("bytes", 8), b"X": ("str", 4), b"\x8d": ("str", 8)}


def read(data: bytes, budget: Budget, whole: bool = True) -> Reading:
    """What a pickle holds. ``problem`` says where and why reading stopped early; ``item`` is what was read by then,
    ``Missing.VALUE`` for nothing. Of a part (``whole`` False) no end is expected."""
    machine = Machine()
    stream = io.BytesIO(data)
    protocol = at = 0
    stopped = problem = ""
    malformed = False
    try:
        for opcode, arg, _position in pickletools.genops(stream):
            budget.operations -= 1
            if budget.operations <= 0 or (budget.operations % 128 == 0 and budget.spent):
                problem = _("The pickle is too long to be read whole; its first part is shown.")
                break
            protocol = max(protocol, arg or 0 if opcode.name == "PROTO" else min(opcode.proto, 1))
            if protocol > HIGHEST_PROTOCOL:
                raise Malformed
            machine.step(opcode.name, arg)
            at = stream.tell()
            stopped = opcode.name
    except (Malformed, ValueError, IndexError, OverflowError, Warning):
        if whole or stream.tell() < len(data):
            problem, malformed = _("malformed at byte %d") % at, True
        elif found := _beginning(data, at):
            machine.push(found)
    notes = []
    if stopped == "STOP":
        if len(machine.levels) > 1 or len(machine.stack) != 1:
            problem, malformed = _("malformed at byte %d") % (at - 1), True
        if at < len(data):
            notes.append(_("%d bytes follow the end of the pickle.") % (len(data) - at))
    return Reading(
        machine.result(), problem, tuple(notes), tuple(machine.warnings), protocol, tuple(machine.names), malformed
    )


def _beginning(data: bytes, at: int) -> Beginning | None:
    """The text or bytes that begins with the operation at ``at`` and has no end in a part of a pickle."""
    kind, width = _LONG.get(data[at : at + 1], ("", 0))
    start = at + 1 + width
    if not kind or start > len(data):
        return None
    return Beginning(kind, data[start:], int.from_bytes(data[at + 1 : start], "little"))

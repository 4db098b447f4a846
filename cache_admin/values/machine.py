"""The unpickler's machine with nothing behind it: its operations build parts, import nothing and call nothing.

Every operation adds at most one reference, so the memory used is the bytes read plus a few hundred bytes for each
operation, whatever the pickle's memo says.
"""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _

from cache_admin.values.callables import modern, settle, verdict
from cache_admin.values.parts import Call, Container, Missing, Name

MAX_WARNINGS = 20
MAX_NAMES = 200
_LEAVES = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
        "BINUNICODE8", "FLOAT", "BINFLOAT",
    }
)  # fmt: skip
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": "list", "EMPTY_TUPLE": "tuple", "EMPTY_DICT": "dict", "EMPTY_SET": "set"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARKED = {"TUPLE": "tuple", "LIST": "list", "DICT": "dict", "FROZENSET": "frozenset"}
_NOTHING_TO_DO = frozenset({"PROTO", "FRAME", "READONLY_BUFFER", "STOP"})


class Malformed(Exception):
    """An operation that asks for what is not there."""


class Machine:
    """The unpickler's stack and memo, holding parts in place of objects."""

    def __init__(self) -> None:
        self.levels: list[list[object]] = [[]]  #: one more for each open mark
        self.memo: dict[object, object] = {}
        self.warnings: dict[str, None] = {}  #: in order of discovery
        self.names: dict[Name, None] = {}  #: all that loading would import, the first ``MAX_NAMES``

    @property
    def stack(self) -> list[object]:
        return self.levels[-1]

    def step(self, name: str, arg: object) -> None:
        if name in _LEAVES:
            self.push(arg)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name in _EMPTY:
            self.push(Container(_EMPTY[name]))
        elif name in _TUPLES:
            self.push(Container("tuple", self.several(_TUPLES[name])))
        elif name in _MARKED:
            self.push(Container(_MARKED[name], self.since_mark()))
        elif name in _STEPS:
            _STEPS[name](self)
        elif name not in _NOTHING_TO_DO:
            self.step_with_argument(name, arg)

    def step_with_argument(self, name: str, arg: object) -> None:
        if name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self.remember(arg)
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            if arg not in self.memo:
                raise Malformed
            self.push(self.memo[arg])
        elif name in {"GLOBAL", "INST"}:
            found = self.named(*str(arg).partition(" ")[::2])
            self.push(found if name == "GLOBAL" else self.call(found, self.since_mark()))
        elif name in {"EXT1", "EXT2", "EXT4"}:
            self.push(Name("copyreg", f"extension {arg}"))
        else:  # PERSID, the only one left
            self.push(Call(Name("persistent", "id"), [arg], "object"))

    def push(self, item: object) -> None:
        self.stack.append(item)

    def top(self) -> object:
        if not self.stack:
            raise Malformed
        return self.stack[-1]

    def take(self) -> object:
        if not self.stack:
            raise Malformed
        return self.stack.pop()

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def several(self, count: int) -> list[object]:
        if len(self.stack) < count:
            raise Malformed
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def since_mark(self) -> list[object]:
        if len(self.levels) < 2:
            raise Malformed
        return self.levels.pop()

    def remember(self, place: object) -> None:
        self.memo[place] = self.top()

    def named(self, module: object, name: object) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Malformed
        found = modern(Name(module, name))
        if len(self.names) < MAX_NAMES:
            self.names[found] = None
        return found

    def fill(self, kind: str, items: list[object]) -> None:
        """Puts items into the container, or beside the object, on top of the stack."""
        target = self.top()
        if isinstance(target, Container) and target.kind == kind:
            target.items += items
            return
        call = self.target()
        if kind == "dict":
            call.assigned += items
        else:
            call.appended += items

    def target(self) -> Call:
        """The object on top of the stack, about to be changed. Changing what is merely named changes the process."""
        target = self.top()
        if isinstance(target, Name):
            self.warn(_("changes %s when loaded") % target.full)
            target = self.stack[-1] = Call(target, [], "object")
        if not isinstance(target, Call):
            raise Malformed
        return target

    def reduce(self) -> None:
        callee, args = self.several(2)
        self.push(self.call(callee, args.items if isinstance(args, Container) else [args]))

    def create(self, cls: object, args: object, kwargs: object = None) -> None:
        call = Call(cls, args.items if isinstance(args, Container) else [args], "object")
        if isinstance(kwargs, Container) and kwargs.kind == "dict":
            call.kwargs = kwargs
        self.judge(call)
        self.push(call)

    def obj(self) -> None:
        cls, *args = self.since_mark() or [None]
        self.push(self.call(cls, args))

    def build(self) -> None:
        state = self.take()
        self.target().states.append(state)

    def call(self, callee: object, args: list[object]) -> object:
        result = settle(Call(callee, args))
        if isinstance(result, Call):
            self.judge(result)
        return result

    def judge(self, call: Call) -> None:
        found = verdict(call.callee)
        if found == "risky" or (found == "unknown" and call.how == "call"):
            name = call.name
            self.warn(_("calls %s when loaded") % name if name else _("calls the result of another call when loaded"))

    def warn(self, sentence: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings[sentence] = None

    def result(self) -> object:
        """What the stack holds: of a whole pickle its one value; of a part, open containers with what they got."""
        while len(self.levels) > 1:
            unfinished = self.levels.pop()
            if unfinished and self.stack and takes_more(self.stack[-1]):
                give(self.stack[-1], unfinished)
            elif unfinished:
                self.push(Container("tuple", unfinished))
            if len(self.stack) > 1 and is_state(*self.stack[-2:]):
                self.build()
        bottom = self.stack
        while len(bottom) > 1:
            if is_state(*bottom[-2:]):
                self.build()
                continue
            owner = next((i for i in range(len(bottom) - 2, -1, -1) if takes_more(bottom[i])), None)
            if owner is None:
                return Container("tuple", bottom)
            give(bottom[owner], bottom[owner + 1 :])
            del bottom[owner + 1 :]
        return bottom[0] if bottom else Missing.VALUE


def takes_more(owner: object) -> bool:
    """Whether items can be added to what stands on the stack."""
    return isinstance(owner, Call) or (isinstance(owner, Container) and owner.kind not in {"tuple", "frozenset"})


def give(owner: object, items: list[object]) -> None:
    """Adds items that were meant for the owner when the pickle broke off."""
    if isinstance(owner, Container):
        owner.items += items
    elif isinstance(owner, Call):
        owner.appended += items


def is_state(owner: object, item: object) -> bool:
    """Whether the item is the state of an object that was never told to take it."""
    return (
        isinstance(owner, Call)
        and not owner.states
        and owner.how == "object"
        and isinstance(item, Container)
        and item.kind == "dict"
    )


_STEPS: dict[str, Callable[[Machine], None]] = {
    "MARK": lambda machine: machine.levels.append([]),
    "POP": Machine.pop,
    "POP_MARK": lambda machine: machine.since_mark().clear(),
    "DUP": lambda machine: machine.push(machine.top()),
    "MEMOIZE": lambda machine: machine.remember(len(machine.memo)),
    "APPEND": lambda machine: machine.fill("list", [machine.take()]),
    "APPENDS": lambda machine: machine.fill("list", machine.since_mark()),
    "SETITEM": lambda machine: machine.fill("dict", machine.several(2)),
    "SETITEMS": lambda machine: machine.fill("dict", machine.since_mark()),
    "ADDITEMS": lambda machine: machine.fill("set", machine.since_mark()),
    "STACK_GLOBAL": lambda machine: machine.push(machine.named(*machine.several(2))),
    "REDUCE": Machine.reduce,
    "NEWOBJ": lambda machine: machine.create(*machine.several(2)),
    "NEWOBJ_EX": lambda machine: machine.create(*machine.several(3)),
    "OBJ": Machine.obj,
    "BUILD": Machine.build,
    "BINPERSID": lambda machine: machine.push(Call(Name("persistent", "id"), [machine.take()], "object")),
    "NEXT_BUFFER": lambda machine: machine.push(Name("pickle", "buffer sent beside it")),
}

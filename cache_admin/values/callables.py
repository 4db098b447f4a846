"""What loading a pickle would call, judged by name alone; and the calls so common that their outcome is written out.

A name is *known* (harmless and understood), *risky* (its module can do anything), or neither. The lists only decide
how loudly a call is reported: nothing is ever called, whatever they say.
"""

from __future__ import annotations

from cache_admin.values.parts import Call, Container, Name

KNOWN = frozenset(
    {
        "_codecs.encode",
        *(
            f"builtins.{name}"
            for name in ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int")
        ),
        *(f"builtins.{name}" for name in ("int", "list", "object", "range", "set", "slice", "str", "tuple")),
        *(f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        "copyreg.__newobj__",
        "copyreg.__newobj_ex__",
        "copyreg._reconstructor",
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        "decimal.Decimal",
        "django.db.models.base.model_unpickle",
        "django.db.models.fields._empty",
        "django.db.models.fields._load_field",
        "django.utils.safestring.SafeData",
        "django.utils.safestring.SafeString",
        "fractions.Fraction",
        "http.cookies.Morsel",
        "http.cookies.SimpleCookie",
        *(f"pathlib.{name}" for name in ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")),
        "pytz._UTC",
        "pytz._p",
        "types.SimpleNamespace",
        "uuid.SafeUUID",
        "uuid.UUID",
        "zoneinfo.ZoneInfo._unpickle",
    }
)
_RISKY = frozenset(
    {
        "_io", "_pickle", "_posixsubprocess", "asyncio", "bdb", "builtins", "cProfile", "cloudpickle", "code",
        "codeop", "commands", "ctypes", "dill", "doctest", "ftplib", "functools", "http", "importlib", "imp",
        "inspect", "io", "itertools", "linecache", "logging", "marshal", "multiprocessing", "nt", "operator",
        "os", "pdb", "pickle", "pip", "pkgutil", "platform", "posix", "profile", "pty", "pydoc", "runpy",
        "shutil", "signal", "site", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile",
        "test", "threading", "timeit", "torch", "trace", "types", "urllib", "venv", "webbrowser", "xmlrpc",
        "zipimport",
    }
)  # fmt: skip
#: Protocols 0 to 2 spell some modules as Python 2 did.
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "exceptions": "builtins", "UserDict": "collections"}


def modern(name: Name) -> Name:
    """The name with its module as Python 3 spells it."""
    return Name(_OLD_MODULES.get(name.module, name.module), name.name)


def verdict(callee: object) -> str:
    """ "known", "risky", "class" (of the project or a library, by its spelling) or "unknown"."""
    if not isinstance(callee, Name):
        return "risky"
    if callee.full in KNOWN:
        return "known"
    owners = callee.name.split(".")
    if callee.module.split(".")[0] in _RISKY or any(owner in _RISKY for owner in owners[:-1]):
        return "risky"
    last = owners[-1].lstrip("_")
    return "class" if last[:1].isupper() else "unknown"


def settle(call: Call) -> object:
    """The call, or what it plainly stands for: protocols 0 to 3 spell bytes and sets as calls."""
    name, args = call.name, call.args
    match name, args:
        case "_codecs.encode", [str() as text, "latin1" | "latin-1"]:
            return _latin(text, call)
        case "builtins.bytearray", []:
            return bytearray()
        case "builtins.bytearray", [bytes() as data]:
            return bytearray(data)
        case "builtins.bytearray", [str() as text, "latin1" | "latin-1"]:
            encoded = _latin(text, call)
            return bytearray(encoded) if isinstance(encoded, bytes) else call
        case "builtins.bytes", []:
            return b""
        case "builtins.set" | "builtins.frozenset", [Container(kind="list" | "tuple", items=items)]:
            return Container(name.removeprefix("builtins."), items)
        case "copyreg._reconstructor", [Name() as cls, Name(), state]:
            return Call(cls, [] if state is None else [state], "object")
        case "copyreg.__newobj__", [cls, *rest]:
            return Call(cls, rest, "object")
        case "copyreg.__newobj_ex__", [cls, Container(items=rest), Container(kind="dict") as kwargs]:
            return Call(cls, rest, "object", kwargs)
        case "builtins.getattr", [Name(module="zoneinfo", name="ZoneInfo"), "_unpickle"]:
            return Name("zoneinfo", "ZoneInfo._unpickle")
    return call


def _latin(text: str, call: Call) -> object:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return call

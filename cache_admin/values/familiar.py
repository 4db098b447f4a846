"""Objects that everybody caches, written out from their raw arguments as a person would write them.

Nothing named in a pickle is imported: a date is built by our own ``datetime``, a model is known by its name alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

from cache_admin.values.parts import Call, Container

HERD_MARKER = "django_redis.client.herd.Marker"


@dataclass(frozen=True, slots=True)
class Told:
    """An object that one line of text says all about."""

    text: str


def reading(call: Call) -> Told | Container | str | None:
    """The text, container or string that a familiar call stands for; ``None`` for any other, or odd arguments."""
    reader = _READERS.get(call.name)
    if reader is None:
        return None
    try:
        return reader(call)
    except (ValueError, IndexError, TypeError, OverflowError, StopIteration):
        return None


def model_label(call: Call) -> str:
    """``shop.Product`` for a pickled model instance, "" for anything else."""
    match call.name, call.args:
        case "django.db.models.base.model_unpickle", [Container(items=[str() as app, str() as model])]:
            return f"{app}.{model}"
    return ""


def _bytes(item: object) -> bytes:
    # Python 2 wrote the packed fields as a str.
    if isinstance(item, str):
        return item.encode("latin-1")
    if isinstance(item, bytes):
        return item
    raise TypeError


def _integer(item: object) -> int:
    if isinstance(item, int):
        return item
    raise TypeError


def _zone(args: list[object]) -> tuple[timezone | None, str]:
    """A fixed offset as such, any other time zone by its name."""
    if not args or args[0] is None:
        return None, ""
    zone = args[0]
    if not isinstance(zone, Call):
        raise TypeError
    match zone.name, zone.args:
        case "datetime.timezone", [Call() as delta, *_rest]:
            return timezone(_timedelta(delta)), ""
        case "pytz._UTC", []:
            return UTC, ""
        case (("zoneinfo.ZoneInfo._unpickle" | "pytz._p"), [str() as name, *_rest]):
            return None, f" {name}"
    raise TypeError


def _clock(raw: bytes) -> tuple[int, int, int, int]:
    hour, minute, second, *micro = raw
    return hour, minute, second, int.from_bytes(micro, "big")


def _datetime(call: Call) -> Told:
    """``datetime.__reduce_ex__``: year in two bytes, month (its high bit is the fold), day, time, microsecond."""
    raw = _bytes(call.args[0])
    if len(raw) != 10:
        raise ValueError
    zone, name = _zone(call.args[1:])
    day = date(raw[0] * 256 + raw[1], raw[2] & 0x7F, raw[3])
    hour, minute, second, micro = _clock(raw[4:])
    moment = datetime(day.year, day.month, day.day, hour, minute, second, micro, zone)
    return Told(f"{moment.isoformat(' ')}{name}")


def _time(call: Call) -> Told:
    raw = _bytes(call.args[0])
    if len(raw) != 6:
        raise ValueError
    zone, name = _zone(call.args[1:])
    hour, minute, second, micro = _clock(bytes([raw[0] & 0x7F]) + raw[1:])
    return Told(f"{time(hour, minute, second, micro, zone).isoformat()}{name}")


def _date(call: Call) -> Told:
    high, low, month, day = _bytes(call.args[0])
    return Told(date(high * 256 + low, month, day).isoformat())


def _timedelta(call: Call) -> timedelta:
    days, seconds, micros = (_integer(item) for item in call.args)
    return timedelta(days, seconds, micros)


def _uuid(call: Call) -> Told:
    number = next(_integer(value) for name, value in call.fields() if name == "int")
    digits = f"{number:032x}"
    if number < 0 or len(digits) != 32:
        raise ValueError
    return Told("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))


def _first_text(call: Call) -> Told:
    (text,) = call.args
    return Told(text) if isinstance(text, str) else Told(str(_integer(text)))


def _path(call: Call) -> Told:
    parts = [part for part in call.args if isinstance(part, str)]
    return Told("/".join(parts).replace("//", "/", 1))


def _complex(call: Call) -> Told:
    real, imaginary = (item for item in call.args if isinstance(item, float))
    return Told(str(complex(real, imaginary)))


def _mapping(call: Call) -> Container:
    given = [item for arg in call.args if isinstance(arg, Container) and arg.kind == "dict" for item in arg.items]
    return Container("dict", given + call.assigned)


def _safe_string(call: Call) -> str | None:
    return call.args[0] if call.args and isinstance(call.args[0], str) else None


_READERS: dict[str, Callable[[Call], Told | Container | str | None]] = {
    "datetime.datetime": _datetime,
    "datetime.date": _date,
    "datetime.time": _time,
    "datetime.timedelta": lambda call: Told(str(_timedelta(call))),
    "datetime.timezone": lambda call: Told(str(_zone([call])[0])),
    "decimal.Decimal": _first_text,
    "fractions.Fraction": _first_text,
    "uuid.UUID": _uuid,
    "builtins.complex": _complex,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "collections.Counter": _mapping,
    "collections.deque": lambda call: Container("list", call.appended),
    "types.SimpleNamespace": lambda call: Container("dict", [x for pair in call.fields() for x in pair]),
    "django.utils.safestring.SafeString": _safe_string,
    "pathlib.PosixPath": _path,
    "pathlib.PurePosixPath": _path,
}

"""How figures are kept in the project's database: frozen dataclasses as JSON and back, without loss, and moments."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from django.conf import settings


def moment(unix_time: float) -> datetime:
    """A Unix time as the project's database keeps moments: local and naive without ``USE_TZ``."""
    return datetime.fromtimestamp(unix_time, UTC if settings.USE_TZ else None)


def encode(value: Any) -> Any:
    """A dataclass of plain values, tuples, bytes (in base64) and other such dataclasses as JSON."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return b64encode(value).decode() if isinstance(value, bytes) else value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def decode(kind: Any, stored: Any) -> Any:
    """The value of type ``kind`` that :func:`encode` was given. Raises ``AttributeError``, ``TypeError`` or
    ``ValueError`` for anything else; a field that is missing must have a default."""
    if get_origin(kind) is UnionType:
        kind = next(part for part in get_args(kind) if part is not type(None))
        return None if stored is None else decode(kind, stored)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        make: Any = kind
        return make(**{name: decode(hints[name], value) for name, value in stored.items() if name in hints})
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            return tuple(decode(parts[0], item) for item in stored)
        return tuple(decode(part, item) for part, item in zip(parts, stored, strict=True))
    return b64decode(stored) if kind is bytes else stored

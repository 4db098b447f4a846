"""Readable, stable keys: ``v2:product_list:category_id:5:page:2:sort:price``.

Every value is spelled so that two values of different type or content never look alike: ``5`` is a number and ``'5'``
a string, a colon inside a string becomes ``%3A``. A key holds printable ASCII without spaces and without the signs that
globs give a meaning, so it is its own glob and memcached takes it. One longer than ``MAX_KEY`` keeps its family in
front and ends in a hash.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.functional import Promise

#: Characters of a key before the alias's prefix and version; memcached allows 250 bytes with both.
MAX_KEY = 200
#: Characters of the family that a shortened key keeps.
_MAX_FAMILY = 150
_BARE = re.compile(r"[A-Za-z_/][\w./@+-]*", re.ASCII).fullmatch
_PREFIX_BYTE = re.compile(r"[^\w./@+:<>=-]", re.ASCII)
_TEXT_BYTE = re.compile(r"[^\w./@+-]", re.ASCII)
#: Words that a string must not be mistaken for.
_TAKEN = frozenset({"None", "True", "False", "nan", "inf", "anonymous"})


def spell(value: object) -> str:
    """One value as a part of a key.

    Takes ``None``, booleans, numbers, strings, bytes, dates, times, ``Decimal``, ``UUID``, enums, saved model
    instances, classes, and lists, tuples, sets and dicts of these. Raises ``ValueError`` for an unsaved instance and
    ``TypeError`` for anything whose text would not say what it is.
    """
    kind = type(value)
    if kind is str:
        return _text(value)  # type: ignore[arg-type]
    if kind is int or value is None or kind is bool:
        return str(value)
    if isinstance(value, Model):
        return f"{value._meta.label_lower}({spell(_pk(value))})"
    for known, spelled in _SPELLED:
        if isinstance(value, known):
            return spelled(value)
    raise TypeError(
        f"No key can be made of {kind.__module__}.{kind.__qualname__}: pass what it depends on (an id, a name), "
        "or give key= to the decorator."
    )


def _text(value: str) -> str:
    if _BARE(value) and value not in _TAKEN:
        return value
    return f"'{_escape(_TEXT_BYTE, value)}'"


def _escape(unsafe: re.Pattern[str], text: str) -> str:
    return unsafe.sub(lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode("utf-8", "surrogatepass")), text)


def _pk(instance: Model) -> object:
    if instance.pk is None:
        raise ValueError(f"This {instance._meta.label} is not saved: without a primary key it has no cache key.")
    return instance.pk


def _moment(value: datetime.date | datetime.time) -> str:
    return value.isoformat().replace(":", ".")


def _class(value: type[object]) -> str:
    return f"type({_escape(_PREFIX_BYTE, value.__module__)}.{_escape(_PREFIX_BYTE, value.__qualname__)})"


def _enum(value: Enum) -> str:
    # A TextChoices member equals its text, so both make one key.
    if isinstance(value, str | int):
        return spell(value.value)
    return f"{type(value).__qualname__}({_text(value.name)})"


def _mapping(value: Mapping[object, object]) -> str:
    return f"dict({','.join(sorted(f'{spell(name)}={spell(item)}' for name, item in value.items()))})"


def _items(name: str, value: Iterable[object], *, ordered: bool = True) -> str:
    parts = [spell(item) for item in value]
    return f"{name}({','.join(parts if ordered else sorted(parts))})"


#: Tried in this order: a datetime is a date, an IntEnum an int.
_SPELLED: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (Enum, _enum),
    ((str, Promise), lambda value: _text(str(value))),
    (int, lambda value: str(int(value))),
    (float, lambda value: repr(float(value)) if math.isfinite(value) else str(float(value))),
    ((datetime.date, datetime.time), _moment),
    (datetime.timedelta, lambda value: f"timedelta({value.days},{value.seconds},{value.microseconds})"),
    (Decimal, lambda value: f"Decimal({value})"),
    (UUID, lambda value: f"UUID({value})"),
    ((bytes, bytearray), lambda value: f"bytes({value.hex()})"),
    (list, lambda value: _items("list", value)),
    (tuple, lambda value: _items("", value)),
    ((set, frozenset), lambda value: _items("set", value, ordered=False)),
    (Mapping, _mapping),
    (type, _class),
)


def shorten(key: str, family: str) -> str:
    """``key`` itself up to ``MAX_KEY`` characters; else ``family`` (at most 150 characters of it), ``:~`` and a hash
    of the whole key."""
    if len(key) <= MAX_KEY:
        return key
    return f"{family[:_MAX_FAMILY]}:~{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


def clean_prefix(prefix: str) -> str:
    """A prefix as it stands in keys: colons stay, unsafe characters are percent-encoded. ``ValueError`` if empty."""
    if not prefix:
        raise ValueError("A key needs a prefix that names its family, such as product_list.")
    return _escape(_PREFIX_BYTE, prefix)


def join(family: str, parts: Iterable[str]) -> str:
    """The key of a family (:func:`clean_prefix`) and spelled parts, shortened where needed."""
    return shorten(":".join((family, *parts)), family)


class CacheKeyBuilder:
    """Makes keys. A prefix is the developer's word: its colons stay, so that families nest.

    Positional arguments come first, then keyword arguments by name. Arguments can never run into each other; a name
    and a positional string can (``("p", "a", 5)`` and ``("p", a=5)`` are one key), so call one family in one way.
    """

    @staticmethod
    def build_key(prefix: str, /, *args: object, version: int | str | None = None, **kwargs: object) -> str:
        """``[v<version>:]<prefix>[:<arg>...][:<name>:<value>...]``.

        >>> CacheKeyBuilder.build_key("product_list", version=2, category_id=5, page=2, sort="price")
        'v2:product_list:category_id:5:page:2:sort:price'
        """
        family = clean_prefix(prefix)
        if version is not None:
            family = f"v{_escape(_TEXT_BYTE, str(version))}:{family}"
        parts = [spell(value) for value in args]
        for name in sorted(kwargs):
            parts += (_escape(_TEXT_BYTE, name), spell(kwargs[name]))
        return join(family, parts)

    @classmethod
    def user_specific_key(
        cls, user: Any, prefix: str, /, *args: object, version: int | str | None = None, **kwargs: object
    ) -> str:
        """``user:<pk>:<prefix>...``; all anonymous users share ``user:anonymous:...``. ``ValueError`` for an unsaved
        user."""
        anonymous = not isinstance(user, Model) and getattr(user, "is_anonymous", False)
        who = "anonymous" if anonymous else spell(_pk(user))
        return cls.build_key(f"user:{who}:{clean_prefix(prefix)}", *args, version=version, **kwargs)

    @classmethod
    def model_key(
        cls, instance: Model, prefix: str, /, *args: object, version: int | str | None = None, **kwargs: object
    ) -> str:
        """``<app>.<model>:<pk>:<prefix>...``. ``ValueError`` for an unsaved instance."""
        family = f"{instance._meta.label_lower}:{spell(_pk(instance))}:{clean_prefix(prefix)}"
        return cls.build_key(family, *args, version=version, **kwargs)


class CacheManager:
    """The guide's name for the same builder."""

    get_cache_key = staticmethod(CacheKeyBuilder.build_key)

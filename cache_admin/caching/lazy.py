"""Lazy results become lists before they are stored: a stored generator is an error, a stored queryset a surprise."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.db.models.query import RawQuerySet

_LAZY = (QuerySet, RawQuerySet, Iterator, KeysView, ValuesView, ItemsView)


def evaluated(value: Any) -> Any:
    """``value`` with querysets, iterators and views of dicts turned into lists: itself, and inside a dict, list or
    tuple one level down."""
    if isinstance(value, _LAZY):
        return list(value)
    kind = type(value)
    if kind is dict and any(isinstance(item, _LAZY) for item in value.values()):
        return {name: list(item) if isinstance(item, _LAZY) else item for name, item in value.items()}
    if kind in (list, tuple) and any(isinstance(item, _LAZY) for item in value):
        return kind(list(item) if isinstance(item, _LAZY) else item for item in value)
    return value


async def aevaluated(value: Any) -> Any:
    """:func:`evaluated` for async code: querysets run where the database may be used."""
    plain = value is None or isinstance(value, str | int | float | bytes)
    return value if plain else await sync_to_async(evaluated)(value)

"""The arguments of a call as a short JSON text beside its value, so that it can be computed again to compare.

Written down are ``None``, booleans, numbers, strings, dates, ``Decimal``, ``UUID``, saved model instances and model
classes, and lists and tuples of these. Of anything else, or more than ``MAX_CALL`` characters, nothing is written, and
the value cannot be computed again by itself. Reading the text creates no object of any other kind: a model instance is
fetched from the database by its primary key.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.utils.translation import gettext as _

MAX_CALL = 1000
_TEXTS: Mapping[str, tuple[type, Callable[[str], Any]]] = {
    "datetime": (datetime.datetime, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.fromisoformat),
    "Decimal": (Decimal, Decimal),
    "UUID": (UUID, UUID),
}


def written(arguments: Mapping[str, object] | None) -> str:
    """The text of bound arguments, ``""`` if they cannot be written down."""
    if arguments is None:
        return ""
    try:
        text = json.dumps({name: _plain(value) for name, value in arguments.items()}, separators=(",", ":"))
    except (TypeError, ValueError):
        return ""
    return text if len(text) <= MAX_CALL else ""


def read_call(text: str) -> dict[str, Any]:
    """The arguments of a text. Raises ``LookupError`` in words if there is none, or what it names is gone."""
    try:
        return {name: _value(item) for name, item in json.loads(text).items()}
    except ObjectDoesNotExist:
        raise LookupError(_("An object that this value was computed from is no longer in the database.")) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        raise LookupError(_("The arguments that this value was computed from are not stored with it.")) from None


def _plain(value: object) -> object:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, Model) and value.pk is not None:
        return {"model": [value._meta.label_lower, _plain(value.pk)]}
    if isinstance(value, type) and issubclass(value, Model):
        return {"class": value._meta.label_lower}
    if kind in (list, tuple):
        return {kind.__name__: [_plain(item) for item in value]}  # type: ignore[attr-defined]
    for name, (known, _read) in _TEXTS.items():
        if kind is known:
            return {name: value.isoformat() if isinstance(value, datetime.date) else str(value)}
    raise TypeError(kind.__name__)


def _value(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    ((name, inner),) = item.items()
    if name == "model":
        return apps.get_model(inner[0])._default_manager.get(pk=_value(inner[1]))
    if name == "class":
        return apps.get_model(inner)
    if name in ("list", "tuple"):
        items = [_value(part) for part in inner]
        return items if name == "list" else tuple(items)
    return _TEXTS[name][1](inner)

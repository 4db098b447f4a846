"""Figures in the sentences of operations, as the pages write them."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import ngettext


def number(value: float) -> str:
    """ "41,233", grouped as the language does."""
    return str(number_format(round(value), force_grouping=True))


def keys(value: float, *, exact: bool = True) -> str:
    """ "1 key", "41,233 keys", "≈ 41,233 keys"."""
    words = ngettext("%(number)s key", "%(number)s keys", round(value)) % {"number": number(value)}
    return words if exact else f"≈\u202f{words}"


def size(value: float, *, exact: bool = True) -> str:
    """ "12.4 MB", "≈ 12.4 MB"."""
    words = str(filesizeformat(round(value)))
    return words if exact else f"≈\u202f{words}"

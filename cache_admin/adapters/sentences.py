"""The sentences of errors where the alias stands beside them anyway."""

from __future__ import annotations

from cache_admin.adapters import aliases


def about(error: Exception) -> str:
    """The sentence of an error without the alias before it.

    Aliases on one server share a reading, so it may be another one's.
    """
    alias, _colon, sentence = str(error).partition(": ")
    return sentence if alias in aliases() else str(error)

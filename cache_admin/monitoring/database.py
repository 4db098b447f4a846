"""The project's database as a place that may refuse: what monitoring writes there is never worth waiting for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connections, transaction
from django.utils.translation import gettext as _

#: What a database raises that is locked, away, or without our tables.
REFUSALS = (DatabaseError, InterfaceError)
#: Those of it that say nothing of what was asked: it is locked, or away.
AWAY = (OperationalError, InterfaceError)


@contextmanager
def looking(using: str) -> Iterator[None]:
    """For a look that may fail: it leaves a transaction around it whole.

    It begins none of its own, which an SQLite of mode IMMEDIATE could not do while another process writes.
    """
    if not connections[using].in_atomic_block:
        yield
        return
    with transaction.atomic(using):
        yield


def refused(error: Exception) -> str:
    """Why the database gave nothing, in words that a sentence may end with."""
    if isinstance(error, ProgrammingError) or str(error).startswith("no such "):
        return _("the tables are missing: run manage.py migrate.")
    return _("the database does not answer, or is locked.")


@contextmanager
def impatient(using: str, milliseconds: int) -> Iterator[None]:
    """Waits so long at most for a lock of SQLite, whose own time-out may be many seconds.

    Other databases lock single rows; whoever shares one looks first whether it is free.
    """
    connection = connections[using]
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        usual = int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])
        cursor.execute(f"PRAGMA busy_timeout = {min(usual, milliseconds)}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")

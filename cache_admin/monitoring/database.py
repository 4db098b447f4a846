"""The project's database as a place that may refuse: what monitoring writes there is never worth waiting for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections

#: What a database raises that is locked, away, or without our tables.
REFUSALS = (DatabaseError, InterfaceError)


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

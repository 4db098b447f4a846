"""Which of all processes does a thing that one of them should do, by rows with an end in the database.

Nobody waits: a lease that is somebody else's, and a database that refuses, both mean "not now". A process that dies
leaves its leases to run out.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, IntegrityError, InterfaceError, connections, router, transaction
from django.db.models import Q, QuerySet

from cache_admin.models import Lease

logger = logging.getLogger(__name__)

#: An end that lies this many times further ahead than anybody asks was written by a clock that has since gone back.
ABSURD = 10
#: Milliseconds to wait for a locked SQLite, whose own time-out may be many seconds.
PATIENCE = 100
_owner = ""


def hold(name: str, seconds: float) -> bool:
    """Whether this process may do ``name`` from now on for ``seconds``; asked again in time, it goes on holding it.

    Takes a lease that nobody has or that ran out. Whoever asks for one ``name`` asks for about the same time. False
    where another process holds it, and where the database refuses; never blocks.
    """
    using = router.db_for_write(Lease)
    now = time.time()
    until = now + seconds
    try:
        with _impatient(using):
            rows = Lease.objects.using(using).filter(name=name)
            with transaction.atomic(using):
                found = rows.first()
            if found is None:
                with transaction.atomic(using):
                    rows.create(name=name, owner=owner(), until=until)
                return True
            if found.owner != owner() and now <= found.until <= now + ABSURD * seconds:
                return False
            with transaction.atomic(using):
                return bool(_free(rows, now, seconds).update(owner=owner(), until=until))
    except IntegrityError:
        return False  # somebody else was first
    except (DatabaseError, InterfaceError):
        logger.debug("No lease for %s: the database refuses.", name, exc_info=True)
        return False


def release(name: str) -> None:
    """Gives up a lease of this process, so that another need not wait for its end. A refusing database is ignored."""
    using = router.db_for_write(Lease)
    try:
        with _impatient(using), transaction.atomic(using):
            Lease.objects.using(using).filter(name=name, owner=owner()).update(until=0.0)
    except (DatabaseError, InterfaceError):
        logger.debug("The lease for %s was not given up: the database refuses.", name, exc_info=True)


def owner() -> str:
    """The name of this process in leases: host, pid, and something random, for pids come again."""
    global _owner
    if not _owner:
        _owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:16]}"
    return _owner


def _free(rows: QuerySet[Lease], now: float, seconds: float) -> QuerySet[Lease]:
    return rows.filter(Q(owner=owner()) | Q(until__lt=now) | Q(until__gt=now + ABSURD * seconds))


@contextmanager
def _impatient(using: str) -> Iterator[None]:
    """Waits ``PATIENCE`` at most for a lock of SQLite. Other databases lock the one row, which is asked for only when
    it is free."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        (usual,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {PATIENCE}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual)}")


def _forked() -> None:
    global _owner
    _owner = ""


os.register_at_fork(after_in_child=_forked)

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

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q, QuerySet

from cache_admin.models import Lease
from cache_admin.monitoring.database import REFUSALS, impatient, looking

logger = logging.getLogger(__name__)

#: An end that lies this many times further ahead than anybody asks was written by a clock that has since gone back.
ABSURD = 10
#: Milliseconds to wait for a locked database.
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
        with impatient(using, PATIENCE):
            rows = Lease.objects.using(using).filter(name=name)
            with looking(using):
                found = rows.first()
            if found is None:
                with transaction.atomic(using):
                    rows.create(name=name, owner=owner(), until=until)
                return True
            if found.owner != owner() and now <= found.until <= now + ABSURD * seconds:
                return False
            with transaction.atomic(using):
                free = _free(rows, now, seconds)
                # The transaction of another process, perhaps of a whole request, may just be taking it.
                skips = connections[using].features.has_select_for_update_skip_locked
                if skips and not free.select_for_update(skip_locked=True).values_list("pk").first():
                    return False
                return bool(free.update(owner=owner(), until=until))
    except IntegrityError:
        return False  # somebody else was first
    except REFUSALS:
        logger.debug("No lease for %s: the database refuses.", name, exc_info=True)
        return False


def release(name: str) -> None:
    """Gives up a lease of this process, so that another need not wait for its end. A refusing database is ignored."""
    using = router.db_for_write(Lease)
    try:
        with impatient(using, PATIENCE), transaction.atomic(using):
            Lease.objects.using(using).filter(name=name, owner=owner()).update(until=0.0)
    except REFUSALS:
        logger.debug("The lease for %s was not given up: the database refuses.", name, exc_info=True)


def owner() -> str:
    """The name of this process in leases: host, pid, and something random, for pids come again."""
    global _owner
    if not _owner:
        _owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:16]}"
    return _owner


def _free(rows: QuerySet[Lease], now: float, seconds: float) -> QuerySet[Lease]:
    return rows.filter(Q(owner=owner()) | Q(until__lt=now) | Q(until__gt=now + ABSURD * seconds))


def _forked() -> None:
    global _owner
    _owner = ""


os.register_at_fork(after_in_child=_forked)

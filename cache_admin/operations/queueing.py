"""Operations on a queue of the project's own, for sites that keep long jobs out of their web processes.

``RUNNER`` says how one gets there: ``"tasks"`` through Django's Tasks framework, the dotted path of a function by
whatever that does. A worker takes it up with :func:`run_operation`. A queue may deliver late, twice or never: the row
decides who drives, so a second delivery does nothing, and a lost one is handed over again when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.models import Operation
from cache_admin.operations.driving import LEASE, Driver, logger, new_owner

#: Owner of the lease of an operation that no worker has taken up yet.
WAITING = "queue"
#: How long it may wait before whoever looks at it hands it over again.
PATIENCE = timedelta(minutes=5)
_TASKS = "cache_admin.operations.tasks.enqueue"


def hand_over(operation: Operation) -> None:
    """Puts an operation that this process holds on the queue. One that the queue refuses is interrupted and says so."""
    held = Operation.objects.filter(pk=operation.pk, state=Operation.State.RUNNING)
    held.filter(lease_owner=operation.lease_owner).update(lease_owner=WAITING, lease_until=timezone.now() + PATIENCE)
    try:
        runner = conf.current().RUNNER
        enqueue: Callable[[str], object] = import_string(_TASKS if runner == "tasks" else runner)
        enqueue(str(operation.pk))
    except Exception:
        logger.exception("The queue did not take operation %s.", operation.pk)
        held.filter(lease_owner=WAITING).update(
            state=Operation.State.INTERRUPTED,
            error=_("The queue of the site did not take this; the log of the site has the details. Resume it later."),
            active_key=None,
            lease_owner="",
            lease_until=None,
        )


def run_operation(pk: str) -> str:
    """Drives an operation to its end, for workers of any queue: ``pk`` is what the function in ``RUNNER`` was given.

    Returns its state: "done", "failed", "interrupted" ...; "running" if somebody else drives it, "" if there is no
    such operation. Raises nothing but the ``OperationalError`` or ``InterfaceError`` of a database that does not
    answer; try again then.
    """
    now, owner = timezone.now(), new_owner()
    free = Q(lease_owner=WAITING) | Q(lease_until__lt=now) | Q(lease_until=None)
    row = Operation.objects.filter(pk=pk)
    if row.filter(free, state=Operation.State.RUNNING).update(lease_owner=owner, lease_until=now + LEASE):
        Driver(row.get(), owner).run()
    return row.values_list("state", flat=True).first() or ""

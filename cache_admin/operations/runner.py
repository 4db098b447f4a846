"""Starts operations and keeps them going: a row first, then a background thread, or a worker of the project's queue,
with a lease on the row.

A process that dies leaves its lease to run out; whoever looks at the operation next (:func:`poll`) takes it over with
one conditional update and goes on from the last saved step.
"""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.exceptions import OperationConflict, StalePlan
from cache_admin.models import Operation
from cache_admin.monitoring.database import AWAY
from cache_admin.operations import queueing
from cache_admin.operations.base import Plan, kinds
from cache_admin.operations.driving import LEASE, TERMINAL, Driver, Watch, logger, new_owner, permitted

State = Operation.State
User = AbstractUser | AnonymousUser
_TRIM_CHUNK = 500


def start(plan: Plan, user: User | None, reason: str = "") -> Operation:
    """Writes the operation and sets it going in the background; with ``RUNNER = "inline"`` it is over on return.

    A plan that came from a token used before returns the operation of the first use. Raises ``PermissionDenied``,
    :class:`OperationConflict` if the same is running already, and ``DatabaseError`` if the row cannot be written; in
    each case nothing was changed.
    """
    operation, created = begin(plan, user, reason)
    if created:
        _drive(operation)
        operation.refresh_from_db()
    return operation


def begin(plan: Plan, user: User | None, reason: str = "", *, username: str = "") -> tuple[Operation, bool]:
    """Writes the row with a lease for this process, and does nothing else. The second value is False for a replay.

    ``user`` None is for a terminal, ``username`` then says who sits there.
    """
    kind = kinds.get(plan.kind)
    name = user.get_username() if user else TERMINAL + username
    if not permitted(user.pk if user else None, name, kind, plan.params):
        raise PermissionDenied(_("You may not do this."))
    _trim()
    nonce = plan.nonce or uuid.uuid4().hex
    active_key = kind.active_key(plan.alias, plan.params)
    database = router.db_for_write(Operation)
    for attempt in range(3):
        try:
            with transaction.atomic(using=database):
                operation = Operation.objects.create(
                    kind=plan.kind,
                    alias=plan.alias,
                    summary=plan.sentence,
                    reason=reason,
                    user_id=user.pk if user else None,
                    username=name,
                    params=plan.params,
                    planned_keys=plan.keys,
                    planned_bytes=plan.size,
                    total=plan.total or None,
                    lease_owner=new_owner(),
                    lease_until=timezone.now() + LEASE,
                    nonce=nonce,
                    active_key=active_key,
                )
        except IntegrityError:
            if replayed := Operation.objects.filter(nonce=nonce).first():
                return replayed, False
            _refuse_second(active_key)
            if attempt == 2:
                raise
        else:
            return operation, True
    raise AssertionError("unreachable")


def run(operation: Operation, watch: Watch | None = None) -> Operation:
    """Drives an operation that :func:`begin` wrote to its end, here and now. ``watch`` is called after every save."""
    Driver(operation, operation.lease_owner, watch).run()
    operation.refresh_from_db()
    return operation


def poll(operation: Operation) -> Operation:
    """The row as it is now. If it runs but nobody drives it any more, this process does from here on."""
    now = timezone.now()
    owner = new_owner()
    abandoned = Operation.objects.filter(pk=operation.pk, state=State.RUNNING).filter(
        Q(lease_until__lt=now) | Q(lease_until=None)
    )
    taken = abandoned.update(lease_owner=owner, lease_until=now + LEASE)
    operation.refresh_from_db()
    if taken:
        _drive(operation)
        operation.refresh_from_db()
    return operation


def resume(operation: Operation, user: User) -> Operation:
    """Goes on with an interrupted operation from its last saved step, on behalf of ``user`` from now on.

    Raises ``PermissionDenied``, :class:`OperationConflict`, and :class:`StalePlan` if it is not interrupted (any more).
    """
    nothing = StalePlan(_("This operation is not interrupted, so there is nothing to resume."))
    if operation.state != State.INTERRUPTED:
        raise nothing
    kind = kinds.get(operation.kind)
    name = user.get_username()
    if not permitted(user.pk, name, kind, operation.params):
        raise PermissionDenied(_("You may not resume this."))
    active_key = kind.active_key(operation.alias, operation.params)
    changes: dict[str, Any] = {"user_id": user.pk}
    if operation.user_id != user.pk:
        words = _("%(first)s, resumed by %(user)s") % {"first": operation.username, "user": name}
        changes["username"] = words
    try:
        with transaction.atomic(using=router.db_for_write(Operation)):
            taken = Operation.objects.filter(pk=operation.pk, state=State.INTERRUPTED).update(
                state=State.RUNNING,
                active_key=active_key,
                error="",
                cancel_requested=False,
                lease_owner=new_owner(),
                lease_until=timezone.now() + LEASE,
                **changes,
            )
    except IntegrityError:
        _refuse_second(active_key)
        raise
    if not taken:
        raise nothing
    operation.refresh_from_db()
    _drive(operation)
    operation.refresh_from_db()
    return operation


def cancel(operation: Operation, user: User) -> Operation:
    """Asks a running operation to stop at its next step, and ends one that is interrupted or still waits for a worker.

    A finished one stays as it is.

    Raises ``PermissionDenied`` unless the user started it or might have.
    """
    if not operation.is_active:
        return operation
    name = user.get_username()
    if operation.user_id != user.pk and not permitted(user.pk, name, kinds.get(operation.kind), operation.params):
        raise PermissionDenied(_("You may not cancel this."))
    words = _("Cancelled by %(user)s.") % {"user": name}
    row = Operation.objects.filter(pk=operation.pk)
    idle = row.filter(Q(state=State.INTERRUPTED) | Q(state=State.RUNNING, lease_owner=queueing.WAITING))
    over = {"active_key": None, "lease_owner": "", "lease_until": None, "finished": timezone.now()}
    if not idle.update(state=State.CANCELLED, error=words, **over):
        row.filter(state=State.RUNNING).update(cancel_requested=True, error=words)
    return poll(operation)


def _refuse_second(active_key: str) -> None:
    running = Operation.objects.filter(active_key=active_key).first()
    if running:
        raise OperationConflict(
            _("This is running already, started by %(user)s: %(summary)s")
            % {"user": running.username, "summary": running.summary},
            str(running.pk),
        )


def _drive(operation: Operation) -> None:
    where = conf.current().RUNNER
    if where == "inline":
        Driver(operation, operation.lease_owner).run()
        return
    go = _spawn if where == "thread" else queueing.hand_over
    # The row must be visible to the connection of the thread or the worker, also under ATOMIC_REQUESTS.
    transaction.on_commit(lambda: go(operation), using=router.db_for_write(Operation))


def _spawn(operation: Operation) -> None:
    name = f"cache-admin-operation-{operation.pk}"
    held = operation.pk, operation.lease_owner
    threading.Thread(target=_background, args=held, name=name, daemon=True).start()


def _background(pk: uuid.UUID, owner: str) -> None:
    try:
        Driver(Operation.objects.get(pk=pk), owner).run()
    except AWAY:
        logger.exception("The database failed under operation %s; it goes on when somebody looks at it.", pk)
    finally:
        connections.close_all()


def _trim() -> None:
    """Removes finished operations older than ``AUDIT_DAYS``, a chunk at a time so that no delete is long."""
    days = conf.current().AUDIT_DAYS
    if not days:
        return
    begin = timezone.now() - timedelta(days=days)
    over = Operation.objects.filter(created__lt=begin, finished__lt=begin)  # only the first one has an index
    while ids := list(over.order_by().values_list("pk", flat=True)[:_TRIM_CHUNK]):
        Operation.objects.filter(pk__in=ids).delete()

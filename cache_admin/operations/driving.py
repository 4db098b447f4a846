"""Drives one operation in this process: pulls its steps, saves them, renews the lease, asks whether it may go on."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters import adapter
from cache_admin.exceptions import CacheAdminError, PermissionLost, Unavailable
from cache_admin.models import Operation
from cache_admin.monitoring.database import AWAY
from cache_admin.operations.base import APP, Cancelled, Kind, Overrun, Step, kinds

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=10)
#: Seconds between two looks at the cancel flag and the permissions, and between two saves of mere progress.
TICK = 0.5
#: Username of operations that no user started, see ``Operation.username``.
TERMINAL = "terminal: "
_LONGEST_REST = 3.0
#: What is aimed at below the share that must be held.
_MARGIN = 0.95
_LEAST_PART = 0.1

#: Called after every save with the row; may raise :class:`Cancelled`.
Watch = Callable[[Operation], None]


class _LeaseLost(Exception):
    """Another process drives the operation now, or it has ended."""


class Pace:
    """Keeps the time that a server works for us within ``share`` of the time that passes.

    Of the time that a step kept the wire busy, the server worked only for a part; ``spent``, see ``Adapter.spent``,
    tells once a second how large that part is. Where it does not tell, all of it counts.
    """

    def __init__(self, share: float, spent: Callable[[], float | None]) -> None:
        self._share = min(1.0, max(0.01, share)) * _MARGIN
        self._free_at = time.monotonic()
        self._spent = spent
        self._known: float | None = None
        self._asked = 0.0
        self._busy = 0.0
        self._part = 1.0

    def rest(self, busy: float) -> None:
        """Sleeps as long as the last ``busy`` seconds ask for. Our own work meanwhile counts as rest; more than a
        second of it is not saved up for a burst."""
        if not busy:
            return
        self._busy += busy
        if time.monotonic() - self._asked >= 1.0:
            self._measure()
        busy *= self._part
        began = time.monotonic() - busy
        if began - self._free_at > 1.0:
            self._free_at = began
        self._free_at += busy / self._share
        time.sleep(max(0.0, min(self._free_at - time.monotonic(), _LONGEST_REST)))

    def _measure(self) -> None:
        before, self._known = self._known, self._ask()
        if before is not None and self._known is not None and self._known >= before and self._busy:
            self._part = min(1.0, max(_LEAST_PART, (self._known - before) / self._busy))
        self._busy, self._asked = 0.0, time.monotonic()

    def _ask(self) -> float | None:
        try:
            return self._spent()
        except CacheAdminError:
            return None  # the next step meets the same trouble and tells it better


def new_owner() -> str:
    """A name under which this process may hold one lease."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex}"


def permitted(user_id: Any, username: str, kind: Kind, params: dict[str, Any]) -> bool:
    """Whether the user may run this, asked of the database anew. Operations of a terminal have no user and may."""
    if user_id is None:
        return username.startswith(TERMINAL)
    user = get_user_model()._default_manager.filter(pk=user_id).first()
    return user is not None and user.has_perms([f"{APP}.{codename}" for codename in kind.permissions(params)])


class Driver:
    """One operation in the hands of ``owner``, who holds its lease."""

    def __init__(self, operation: Operation, owner: str, watch: Watch | None = None) -> None:
        self.operation = operation
        self._kind = kinds.get(operation.kind)
        self._row = Operation.objects.filter(pk=operation.pk, lease_owner=owner, state=Operation.State.RUNNING)
        self._watch = watch
        self._saved = self._looked = 0.0
        self._notes: dict[str, None] = {}
        self._cursor_moved = False  # a census's is long, and seldom new

    def run(self) -> None:
        """Runs to the end, whatever that is; never raises, but for a database that does not answer.

        In that case the row stays as last saved; once the lease has run out, whoever looks at it goes on.
        """
        state = Operation.State
        try:
            self._go()
        except _LeaseLost:
            logger.info("Operation %s goes on elsewhere.", self.operation.pk)
        except AWAY:
            raise
        except Cancelled as error:
            self._end(state.CANCELLED, str(error))
        except PermissionLost as error:
            self._end(state.REFUSED, str(error))
        except (Unavailable, Overrun) as error:
            self._end(state.INTERRUPTED, str(error))
        except CacheAdminError as error:
            self._end(state.FAILED, str(error))
        except Exception:
            logger.exception("Operation %s (%s) failed.", self.operation.pk, self.operation.kind)
            self._end(state.FAILED, _("Something unexpected went wrong; the log of the site has the details."))
        else:
            self._end(state.DONE, " ".join(self._notes))

    def _go(self) -> None:
        self._look()
        gentle = not self.operation.params.get("fast")
        pace = Pace(conf.current().GENTLE_SHARE, adapter(self.operation.alias).spent) if gentle else None
        with closing(self._kind.steps(self.operation)) as steps:
            for step in steps:
                self._add(step)
                now = time.monotonic()
                if step.done_keys or now - self._saved >= TICK:
                    self._save()
                if now - self._looked >= TICK:
                    self._look()
                if pace:
                    pace.rest(step.busy)

    def _add(self, step: Step) -> None:
        row = self.operation
        self._cursor_moved = self._cursor_moved or step.cursor is not row.cursor
        row.cursor = step.cursor
        row.scanned += step.scanned
        row.done_keys += step.done_keys
        row.done_bytes += step.done_bytes
        row.skipped_keys += step.skipped_keys
        self._notes |= dict.fromkeys(step.notes)
        if step.total is not None:
            row.total = step.total
        if step.slow:
            row.slow = {"seconds": round(step.busy, 3), "at": time.time(), "at_once": step.at_once, "now": True}
        elif row.slow and step.busy:
            row.slow = {**row.slow, "at_once": step.at_once, "now": False}

    def _progress(self) -> dict[str, Any]:
        row = self.operation
        cursor = {"cursor": row.cursor} if self._cursor_moved else {}
        self._cursor_moved = False
        return cursor | {
            "scanned": row.scanned,
            "total": row.total,
            "done_keys": row.done_keys,
            "done_bytes": row.done_bytes,
            "skipped_keys": row.skipped_keys,
            "slow": row.slow,
        }

    def _save(self) -> None:
        if not self._row.update(lease_until=timezone.now() + LEASE, **self._progress()):
            raise _LeaseLost
        self._saved = time.monotonic()
        if self._watch:
            self._watch(self.operation)

    def _look(self) -> None:
        row = self.operation
        found = self._row.values_list("cancel_requested", "error").first()
        if found is None:
            raise _LeaseLost
        if found[0]:
            raise Cancelled(found[1] or _("Cancelled."))
        if not permitted(row.user_id, row.username, self._kind, row.params):
            raise PermissionLost(
                _("%(user)s may not do this any more, so it stopped where it was.") % {"user": row.username}
            )
        self._looked = time.monotonic()

    def _end(self, state: Operation.State, error: str) -> None:
        over = state != Operation.State.INTERRUPTED
        self._row.update(
            state=state,
            error=error,
            finished=timezone.now() if over else None,
            active_key=None,
            lease_owner="",
            lease_until=None,
            **self._progress(),
        )

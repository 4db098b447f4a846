"""The moments at which other code began to run: marked by a command, or by the first process that serves a release.

A deploy is a label and a moment. What the caches held then is taken by ``operations.deploying``, which knows keyspaces.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, InterfaceError, models, router

from cache_admin.models import Deploy
from cache_admin.monitoring import leases
from cache_admin.monitoring.database import looking
from cache_admin.words import one_line

logger = logging.getLogger(__name__)

#: Deploys that are kept, and those of them whose contents are.
KEEP, KEEP_CONTENTS = 200, 20
LONGEST_LABEL = 200
#: Seconds for which a process may take to mark a release.
HOLD = 30.0
#: Seconds after a deploy in which a process of the release before it may still start, as while workers are replaced
#: one by one. Only one that starts later, or is still there then, means that the release was rolled back.
ROLLING = 120.0


def mark(label: str, username: str = "", *, at: float | None = None) -> Deploy:
    """Writes down that other code begins to run, now or at a Unix time; forgets what is beyond ``KEEP``.

    Raises ``ValueError`` for an empty label, and ``DatabaseError``.
    """
    label = one_line(label.strip())[:LONGEST_LABEL]
    if not label:
        raise ValueError("a deploy needs a label")
    deploy = Deploy.objects.create(label=label, username=username, at=time.time() if at is None else at)
    _trim()
    return deploy


def latest() -> Deploy | None:
    """The last deploy, or ``None``. Raises ``DatabaseError``."""
    return Deploy.objects.defer("contents").first()


def since(at: float) -> list[tuple[str, float]]:
    """Label and Unix time of the deploys from ``at`` on, oldest first; of a database that refuses, none."""
    try:
        with looking(router.db_for_read(Deploy)):
            rows = Deploy.objects.filter(at__gte=at).order_by("at", "pk")
            return list(rows.values_list("label", "at"))
    except (DatabaseError, InterfaceError):
        logger.debug("The deploys cannot be read.", exc_info=True)
        return []


def neighbours(deploy: Deploy) -> tuple[Deploy | None, Deploy | None]:
    """The deploys right before and after one."""
    others = Deploy.objects.exclude(pk=deploy.pk)
    before = others.filter(at__lte=deploy.at).exclude(at=deploy.at, pk__gt=deploy.pk).order_by("-at", "-pk").first()
    after = others.filter(at__gte=deploy.at).exclude(at=deploy.at, pk__lt=deploy.pk).order_by("at", "pk").first()
    return before, after


def keep_contents(deploy: Deploy, contents: Mapping[str, Any]) -> None:
    """Writes down what the caches held at a deploy, by alias."""
    deploy.contents = dict(contents)
    deploy.save(update_fields=["contents"])


def keep_verdicts(deploy: Deploy, verdicts: Mapping[str, int]) -> None:
    """Writes down how many patterns of a deploy got which verdict."""
    deploy.verdicts = dict(verdicts)
    deploy.save(update_fields=["verdicts"])


class Watch:
    """Marks the release that this process serves, once, and only if no other process did."""

    def __init__(self) -> None:
        self.over = False  #: there is nothing left to do for this process
        self._since = 0.0  # Unix time of the first look

    def look(self, release: str) -> Deploy | None:
        """The deploy that this process marked just now. Raises ``DatabaseError``: then the next look tries again."""
        release = one_line(release.strip())[:LONGEST_LABEL]  # as it is read back
        if self.over or not release:
            return None
        now = time.time()
        self._since = self._since or now
        if self._named(release, now) or not leases.hold("deploy", HOLD):
            return None
        try:
            if self._named(release, now):  # by whoever held the lease before
                return None
            self.over = True
            return mark(release, at=self._since)
        finally:
            leases.release("deploy")

    def _named(self, release: str, now: float) -> bool:
        """Whether the last deploy names the release, or it must be waited whether this process is a straggler."""
        labels = list(_written().values_list("label", "at")[:2])
        if not labels:
            return False
        last, at = labels[0]
        self.over = last == release
        straggler = labels[-1][0] == release and 0 <= now - at < ROLLING
        return self.over or straggler


def _written() -> models.QuerySet[Deploy]:
    """The deploys where they are written: a replica may not show yet the one that another process has just marked."""
    return Deploy.objects.using(router.db_for_write(Deploy))


def _trim() -> None:
    """Newest first: beyond ``KEEP_CONTENTS`` a deploy loses its contents, beyond ``KEEP`` all."""
    newest = list(_written().values_list("pk", flat=True)[: KEEP + 100])
    _written().filter(pk__in=newest[KEEP_CONTENTS:KEEP]).exclude(contents={}).update(contents={})
    _written().filter(pk__in=newest[KEEP:]).delete()

"""What a walk over the values of an alias found, and where such reports are kept.

The walk itself is the operation ``values``; here is only what it leaves: which patterns hold values that nobody can
read any more, with one example each.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, router

from cache_admin.keyspace import stored as storing
from cache_admin.models import ValueReport
from cache_admin.monitoring.database import looking

KEEP = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of fault in one pattern, see ``values/readable.py``."""

    code: str
    detail: str
    fatal: bool  #: the application cannot read such a value
    values: int  #: that have it, of those looked at
    example: bytes  #: raw key of one of them


@dataclass(frozen=True, slots=True)
class PatternValues:
    """The values of one pattern. Of ``looked_at`` values ``unreadable`` have a fatal fault."""

    pattern: str  #: as in :class:`~cache_admin.keyspace.report.PatternStats`
    template: bytes  #: empty for patterns beyond the most that are told apart
    keys: int  #: that the walk met
    looked_at: int
    unreadable: int
    troubles: tuple[Trouble, ...]  #: fatal ones first

    @property
    def share(self) -> float:
        """Unreadable ones of those looked at, 0 to 1."""
        return self.unreadable / self.looked_at if self.looked_at else 0.0


@dataclass(frozen=True, slots=True)
class ValuesReport:
    """``serializer`` and ``compressor`` are the alias's, ``django`` and ``python`` the versions that looked.

    ``complete`` says that every key was met and a sample of each pattern read.
    """

    alias: str
    started: float  #: Unix time
    seconds: float
    complete: bool
    scanned: int  #: keys met, all owners
    total: int  #: keys in the database when the walk began, all owners
    looked_at: int  #: values read
    refused: int  #: values that might not be read
    serializer: str
    compressor: str
    django: str
    python: str
    patterns: tuple[PatternValues, ...]  #: those with any fault, most unreadable first

    @property
    def unreadable(self) -> int:
        """Values with a fatal fault, of those looked at."""
        return sum(pattern.unreadable for pattern in self.patterns)

    def to_json(self) -> dict[str, Any]:
        """As JSON, without loss."""
        encoded: dict[str, Any] = storing.encode(self)
        return encoded

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ValuesReport:
        """The report that :meth:`to_json` was made of. Raises ``ValueError`` for anything else."""
        try:
            report: ValuesReport = storing.decode(cls, stored)
        except (AttributeError, TypeError) as error:
            raise ValueError("not a report of this version") from error
        return report


def save(report: ValuesReport) -> None:
    """Stores a report and deletes all but the ``KEEP`` newest of its alias. Raises ``DatabaseError``."""
    moment = storing.moment(report.started + report.seconds)
    ValueReport.objects.create(alias=report.alias, created=moment, looked_at=report.looked_at, report=report.to_json())
    own = ValueReport.objects.filter(alias=report.alias)
    old = list(own.order_by("-created", "-pk").values_list("pk", flat=True)[KEEP : 11 * KEEP])
    own.filter(pk__in=old).delete()


def latest(alias: str) -> ValuesReport | None:
    """The newest report of an alias; ``None`` where there is none that can be read."""
    try:
        with looking(router.db_for_read(ValueReport)):
            row = ValueReport.objects.filter(alias=alias).order_by("-created", "-pk").first()
            return ValuesReport.from_json(row.report) if row else None
    except (DatabaseError, ValueError):
        logger.warning("The stored looks at the values of %s cannot be read", alias, exc_info=True)
        return None

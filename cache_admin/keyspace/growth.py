"""How patterns grow over days: of every day the last look at an alias, with its largest patterns.

A complete census of a day is kept before any sample of that day. What comes from a sample is an estimate, and stays
marked as one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, router, transaction
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin.keyspace.report import PatternStats, Report
from cache_admin.keyspace.stored import moment
from cache_admin.models import Growth
from cache_admin.monitoring.database import looking
from cache_admin.words import marked

TOP = 500  #: patterns kept of a day
DAYS = 90  #: days kept
COMPARED = 7  #: days back that a page compares with
_TRIM_CHUNK = 100
#: Less than this share of a change is none.
_EQUAL = 0.005

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """One pattern on one day."""

    day: date
    complete: bool  #: counted, not estimated
    keys: int
    size: int  #: bytes; 0 where they may not be measured
    no_expiry: float | None  #: share of the keys that never expire, 0 to 1; ``None``: not known


@dataclass(frozen=True, slots=True)
class Change:
    """A pattern now against some days before. ``before`` is ``None`` where it was not among the largest then."""

    days: int
    now: Point
    before: Point | None

    @property
    def exact(self) -> bool:
        return self.now.complete and (self.before is None or self.before.complete)

    @property
    def difference(self) -> int:
        """Bytes more than then, or fewer; keys where bytes are not measured."""
        then = self.before
        if self.now.size or (then and then.size):
            return self.now.size - (then.size if then else 0)
        return self.now.keys - (then.keys if then else 0)

    @property
    def share(self) -> float | None:
        """The same as a share of what there was; ``None`` where there was nothing."""
        basis = (self.before.size or self.before.keys) if self.before else 0
        return self.difference / basis if basis else None

    @property
    def keys(self) -> int:
        """Keys more than then, or fewer."""
        return self.now.keys - (self.before.keys if self.before else 0)

    @property
    def size(self) -> int | None:
        """Bytes more than then, or fewer; ``None`` where they are not measured, now or then."""
        if not self.now.size or (self.before and not self.before.size):
            return None
        return self.now.size - (self.before.size if self.before else 0)

    @property
    def sentence(self) -> str:
        """ "12 % more than 7 days ago" """
        ago = ngettext("%(days)d day ago", "%(days)d days ago", self.days) % {"days": self.days}
        if self.share is None:
            return _("not there, or not among the largest, %(ago)s") % {"ago": ago}
        if abs(self.share) < _EQUAL:
            return _("as much as %(ago)s") % {"ago": ago}
        percent = abs(self.share) * 100
        digits = 0 if percent >= 10 else 1
        share = f"{number_format(round(percent, digits), decimal_pos=digits, force_grouping=True)}\u00a0%"
        words = {"share": marked(share, exact=self.exact), "ago": ago}
        return _("%(share)s more than %(ago)s") % words if self.share > 0 else _("%(share)s less than %(ago)s") % words


def remember(report: Report) -> None:
    """Keeps what a look found as its day's, unless it is a sample and that day was counted. Raises ``DatabaseError``.

    For stored censuses and for the samples that a background history takes.
    """
    day = day_of(report)
    rows = Growth.objects.using(router.db_for_write(Growth))
    with transaction.atomic(using=rows.db):
        row, created = rows.select_for_update().get_or_create(
            alias=report.alias, day=day, defaults={"complete": report.complete, "contents": _contents(report)}
        )
        if not created and (report.complete or not row.complete):
            row.complete, row.contents = report.complete, _contents(report)
            row.save(update_fields=["complete", "contents"])
    if created:
        _trim(day - timedelta(days=DAYS))


def changes(report: Report, *, days: int = COMPARED) -> Mapping[str, Change]:
    """Of each pattern of a report what changed since ``days`` before, or since the earliest day there is after that;
    empty without a day to compare with."""
    day = day_of(report)
    rows = Growth.objects.filter(alias=report.alias)
    try:
        with looking(router.db_for_read(Growth)):
            earlier = rows.filter(day__lte=day - timedelta(days=days)).order_by("-day").first()
            earlier = earlier or rows.filter(day__lt=day).order_by("day").first()
    except DatabaseError:
        logger.warning("The growth of %s cannot be read", report.alias, exc_info=True)
        return {}
    if earlier is None:
        return {}
    between = (day - earlier.day).days
    return {
        stats.pattern: Change(between, _point(stats, day, report.complete), _stored(earlier, stats.pattern))
        for stats in report.patterns
    }


def history(alias: str, pattern: str) -> tuple[Point, ...]:
    """The days on which a pattern was among the largest of an alias, oldest first."""
    try:
        with looking(router.db_for_read(Growth)):
            rows = list(Growth.objects.filter(alias=alias).order_by("day"))
    except DatabaseError:
        logger.warning("The growth of %s cannot be read", alias, exc_info=True)
        return ()
    return tuple(point for row in rows if (point := _stored(row, pattern)))


def day_of(report: Report) -> date:
    """The day of a report, in the time zone of the project."""
    ended = moment(report.started + report.seconds)
    return timezone.localdate(ended, timezone.get_default_timezone()) if settings.USE_TZ else ended.date()


def _contents(report: Report) -> dict[str, Any]:
    points = [_point(stats, date.min, report.complete) for stats in report.patterns[:TOP]]
    return {
        stats.pattern: [point.keys, point.size, point.no_expiry]
        for stats, point in zip(report.patterns, points, strict=False)
    }


def _point(stats: PatternStats, day: date, complete: bool) -> Point:
    never = None if stats.no_expiry.unknown else round(stats.no_expiry.value, 4)
    return Point(day, complete, round(stats.keys.value), round(stats.size.value), never)


def _stored(row: Growth, pattern: str) -> Point | None:
    try:
        keys, size, never = row.contents[pattern]
    except (KeyError, TypeError, ValueError):
        return None
    return Point(row.day, row.complete, keys, size, never)


def _trim(before: date) -> None:
    """Deletes the days before, of all aliases, a chunk at a time so that no delete is long."""
    every = Growth.objects.using(router.db_for_write(Growth))
    old = every.filter(day__lt=before).order_by()
    while ids := list(old.values_list("pk", flat=True)[:_TRIM_CHUNK]):
        every.filter(pk__in=ids).delete()

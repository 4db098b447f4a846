"""Findings that somebody does not want to hear again, of one alias: by whom, since when, and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.db import router, transaction

from cache_admin.health.finding import Finding
from cache_admin.models import MutedFinding
from cache_admin.monitoring.database import REFUSALS, looking

logger = logging.getLogger(__name__)


def muted(alias: str) -> Mapping[str, MutedFinding] | None:
    """The muted findings by code, whether they are there now or not; ``None`` where the database does not tell."""
    try:
        with looking(router.db_for_read(MutedFinding)):
            return {row.code: row for row in MutedFinding.objects.filter(alias=alias)}
    except REFUSALS:
        logger.debug("The muted findings of %s cannot be read.", alias, exc_info=True)
        return None


def mute(alias: str, finding: Finding, *, reason: str, username: str) -> tuple[MutedFinding, bool]:
    """Mutes a finding until somebody unmutes it. Of two who do so the first one stays: the second gets that row, and
    False.

    Raises ``ValueError`` without a reason, and ``DatabaseError``.
    """
    reason = reason.strip()
    if not reason:
        raise ValueError("muting needs a reason")
    said = {"text": finding.text, "reason": reason, "username": username}
    return MutedFinding.objects.get_or_create(alias=alias, code=finding.code, defaults=said)


def unmute(alias: str, code: str) -> MutedFinding | None:
    """Lets a finding be heard again. Returns what was muted, or ``None`` where it was not. Raises ``DatabaseError``."""
    with transaction.atomic(using=router.db_for_write(MutedFinding)):
        row = MutedFinding.objects.select_for_update().filter(alias=alias, code=code).first()
        return row if row and row.delete()[0] else None

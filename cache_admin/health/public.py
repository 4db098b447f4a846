"""The health of caches as JSON, for scripts; documented in ``docs/commands.md``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cache_admin.exceptions import CacheAdminError
from cache_admin.health.checking import Health
from cache_admin.health.limits import Outcome
from cache_admin.models import Deploy


def as_json(
    found: Mapping[str, Health | CacheAdminError],
    outcomes: Sequence[Outcome],
    *,
    since: float,
    deploy: Deploy | None,
    code: int,
) -> dict[str, Any]:
    """All of it; ``since`` is the Unix time from which on hit rates were judged, ``code`` the exit code."""
    return {
        "ok": code == 0,
        "code": code,
        "at": round(time.time(), 3),
        "deploy": {"label": deploy.label, "at": deploy.at} if deploy else None,
        "caches": [_cache(name, health) for name, health in found.items()],
        "limits": [_limit(one, since) for one in outcomes],
    }


def _cache(name: str, health: Health | CacheAdminError) -> dict[str, Any]:
    if isinstance(health, CacheAdminError):
        return {"alias": name, "error": str(health)}
    return {
        "alias": name,
        "level": health.verdict.level,
        "verdict": health.verdict.text,
        "findings": [
            {
                "code": one.code,
                "level": one.level,
                "text": one.text,
                "evidence": list(one.evidence),
                "mend": one.mend,
                "page": one.link,
            }
            for one in health.findings
        ],
        "muted": [
            {
                "code": one.row.code,
                "text": one.finding.text if one.finding else one.row.text,
                "found": one.finding is not None,
                "reason": one.row.reason,
                "username": one.row.username,
                "created": one.row.created.isoformat(),
            }
            for one in health.muted
        ],
        "more": health.more,
        "notes": list(health.notes),
    }


def _limit(one: Outcome, since: float) -> dict[str, Any]:
    return {
        "pattern": one.limit.pattern,
        "least": one.limit.least,
        "alias": one.alias,
        "lookups": one.lookups,
        "hit_rate": None if one.hit_rate is None else round(one.hit_rate, 4),
        "since": round(since, 3),
        "state": one.state,
    }

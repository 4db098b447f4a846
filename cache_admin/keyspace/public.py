"""The JSON of a report for scripts: figures in full, names as text. ``Report.to_json`` is for storing instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from cache_admin.keyspace.growth import Change
from cache_admin.keyspace.report import TTL_EDGES, Estimate, ForeignStats, LargeKey, PatternStats, Report

Name = Callable[[bytes], str]


def as_json(report: Report, name: Name, changes: Mapping[str, Change]) -> dict[str, Any]:
    """``name`` makes text of a raw key; ``changes`` are those of ``growth.changes``. An estimate ``x`` has ``x_low``
    and ``x_high`` beside it, its 95 % interval.

    Keys, bytes and seconds are numbers; shares go from 0 to 1; ``no_expiry`` counts the keys that never expire.
    """
    return {
        "alias": report.alias,
        "complete": report.complete,
        "scanned": report.scanned,
        "total": report.total,
        "started": report.started,
        "seconds": report.seconds,
        "measured": report.measured,
        **_rounded("keys", report.own_keys),
        **_rounded("bytes", report.own_size),
        "patterns": [
            {**_pattern(stats, name), "growth": _growth(changes.get(stats.pattern))} for stats in report.patterns
        ],
        "other": _pattern(report.other, name) if report.other else None,
        "foreign": [_foreign(stats, name) for stats in report.foreign],
        "large_keys": [_large(key, name) for key in report.large_keys],
        "notes": list(report.notes),
    }


def _rounded(label: str, figure: Estimate) -> dict[str, int]:
    if figure.exact:
        return {label: round(figure.value)}
    return {label: round(figure.value), f"{label}_low": round(figure.low), f"{label}_high": round(figure.high)}


def _share(label: str, figure: Estimate) -> dict[str, float]:
    if figure.exact:
        return {label: figure.value}
    return {label: figure.value, f"{label}_low": figure.low, f"{label}_high": figure.high}


def _pattern(stats: PatternStats, name: Name) -> dict[str, Any]:
    return {
        "pattern": stats.pattern,
        "family": stats.family,
        "title": stats.title,
        "protected": stats.protected,
        "exact": stats.keys.exact,
        **_rounded("keys", stats.keys),
        **_share("keys_share", stats.keys_share),
        **_rounded("bytes", stats.size),
        **_share("bytes_share", stats.size_share),
        "mean_bytes": stats.mean,
        "largest_bytes": stats.largest,
        "largest_key": name(stats.largest_key),
        "no_expiry": round(stats.no_expiry.value * stats.keys.value),
        **_share("no_expiry_share", stats.no_expiry),
        "ttl": [{"up_to_seconds": edge, "share": share} for edge, share in zip_longest(TTL_EDGES, stats.ttl_buckets)],
        "types": dict(stats.types),
        "examples": [name(key) for key in stats.examples],
    }


def _growth(change: Change | None) -> dict[str, Any] | None:
    """Against so many days before; ``None`` without such a day."""
    if change is None:
        return None
    return {
        "days": change.days,
        "keys": change.keys,
        "bytes": change.size,
        "share": change.share,
        "exact": change.exact,
    }


def _foreign(stats: ForeignStats, name: Name) -> dict[str, Any]:
    return {
        "pattern": stats.pattern,
        "owner": stats.owner,
        "family": stats.family,
        "exact": stats.keys.exact,
        **_rounded("keys", stats.keys),
        **_rounded("bytes", stats.size),
        "examples": [name(key) for key in stats.examples],
    }


def _large(key: LargeKey, name: Name) -> dict[str, Any]:
    return {
        "key": name(key.key),
        "bytes": key.size,
        "pattern": key.pattern,
        "family": key.family,
        "type": key.type,
        "expires": key.expires,
        "ttl": key.ttl,
    }

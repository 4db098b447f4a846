"""The comparison of a deploy as a file: figures in full, estimates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cache_admin import keys
from cache_admin.keyspace.compared import Comparison, Row
from cache_admin.keyspace.report import Estimate
from cache_admin.models import Deploy

_PAIRS = (
    *("hit_rate", "lookups", "misses", "sets", "keys", "keys_low", "keys_high", "bytes", "bytes_low", "bytes_high"),
    *("no_expiry", "rebuild_seconds", "errors"),
)
HEADER = ("alias", "pattern", "verdicts", *(f"{name}_{when}" for name in _PAIRS for when in ("before", "after")))


def as_dict(row: Row) -> dict[str, Any]:
    """One pattern; ``None`` for what is not known. Shares go from 0 to 1."""
    figures: dict[str, Any] = {}
    for i, (when, side) in enumerate((("before", row.before), ("after", row.after))):
        counts = side.counts
        values = (
            *(counts.hit_rate, counts.lookups, counts.misses, counts.sets, *_edges(row.keys[i]), *_edges(row.size[i])),
            *(_share(row.no_expiry[i]), counts.rebuild, counts.errors),
        )
        figures |= {f"{name}_{when}": value for name, value in zip(_PAIRS, values, strict=True)}
    verdicts = {"verdicts": [verdict.text for verdict in row.verdicts], "kinds": sorted(row.kinds)}
    return {"alias": row.alias, "pattern": row.pattern, **verdicts, **figures}


def cells(row: Row) -> Sequence[object]:
    """The row of :data:`HEADER`."""
    found = as_dict(row)
    return [*(found[name] for name in HEADER[:2]), "; ".join(found["verdicts"]), *(found[name] for name in HEADER[3:])]


def as_json(deploy: Deploy | None, compared: Sequence[Comparison], rows: Sequence[Row]) -> dict[str, Any]:
    """The deploy, what was compared of each alias, and its patterns."""
    return {
        "deploy": {"label": deploy.label, "at": deploy.at, "username": deploy.username} if deploy else None,
        "aliases": [
            {
                "alias": one.alias,
                "seconds": one.window.seconds,
                "before_from": one.window.before,
                "after_from": one.window.after,
                "left_behind": _left(one),
                "notes": list(one.notes),
            }
            for one in compared
        ],
        "patterns": [as_dict(row) for row in rows],
    }


def _left(one: Comparison) -> dict[str, Any] | None:
    if one.left is None:
        return None
    (count, *_count_edges), (size, *_size_edges) = _edges(one.left.holding.keys), _edges(one.left.holding.size)
    return {"version": one.left.version, "prefix": keys.show(one.left.head), "keys": count, "bytes": size}


def _edges(figure: Estimate | None) -> tuple[int | None, int | None, int | None]:
    if figure is None:
        return None, None, None
    return round(figure.value), round(figure.low), round(figure.high)


def _share(figure: Estimate | None) -> float | None:
    return None if figure is None or figure.unknown else round(figure.value, 4)

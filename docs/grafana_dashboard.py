"""Writes ``grafana-dashboard.json``, which Grafana imports: ``python docs/grafana_dashboard.py``.

Every worker of a site exports the same figures, so where several are scraped, ``max by`` takes one of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("grafana-dashboard.json")
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'alias=~"$alias"'


def rate(name: str, by: str = "alias, pattern", where: str = CHOSEN) -> str:
    """A counter of the application per second, each series once."""
    return f"max by ({by}) (rate(cache_admin_{name}_total{{{where}}}[$__rate_interval]))"


def per_alias(name: str) -> str:
    return f"sum by (alias) ({rate(name)})"


def server(name: str) -> str:
    return f"max by (server) (cache_admin_server_{name})"


def server_rate(name: str) -> str:
    return rate(f"server_{name}", "server", "")


LOOKUPS = f"({rate('hits')} + {rate('misses')})"
REBUILD = f"({rate('rebuild_seconds')} / {rate('rebuilds')})"

#: Title, what it tells, unit, and (expression, legend) of its lines; two panels a row.
PANELS: list[tuple[str, str, str, list[tuple[str, str]]]] = [
    (
        "Hit rate by cache",
        "Look-ups of the application that found something. A gap: no look-ups.",
        "percentunit",
        [(f"{per_alias('hits')} / ({per_alias('hits')} + {per_alias('misses')})", "{{alias}}")],
    ),
    (
        "Hit rate by pattern",
        "Of the ten patterns with most look-ups.",
        "percentunit",
        [(f"({rate('hits')} / {LOOKUPS}) and topk(10, {LOOKUPS})", "{{alias}} {{pattern}}")],
    ),
    (
        "Time lost to misses",
        "Misses a second, each as long as a rebuild: seconds of work a second.",
        "s",
        [(f"topk(10, {rate('misses')} * {REBUILD})", "{{alias}} {{pattern}}")],
    ),
    (
        "Stampedes",
        "Rebuilds a second while another caller was at the same key.",
        "ops",
        [(f"topk(10, {rate('duplicate_rebuilds')} > 0)", "{{alias}} {{pattern}}")],
    ),
    (
        "Missed before their time",
        "Misses a second of keys that were stored and had not expired: mostly evicted.",
        "ops",
        [(f"topk(10, {rate('early_misses')} > 0)", "{{alias}} {{pattern}}")],
    ),
    (
        "Operations and errors of the application",
        "Keys looked up, stored and deleted, and operations that raised.",
        "ops",
        [
            (f"{per_alias('hits')} + {per_alias('misses')}", "{{alias}} looked up"),
            (per_alias("sets"), "{{alias}} stored"),
            (per_alias("deletes"), "{{alias}} deleted"),
            (f"{per_alias('errors')} > 0", "{{alias}} errors"),
        ],
    ),
    (
        "Memory against limit",
        "A server without a limit has no second line.",
        "bytes",
        [(server("memory_bytes"), "{{server}} used"), (f"{server('memory_limit_bytes')} > 0", "{{server}} limit")],
    ),
    (
        "Evictions and expirations",
        "Keys a second, as the server counts them.",
        "ops",
        [(server_rate("evicted_keys"), "{{server}} evicted"), (server_rate("expired_keys"), "{{server}} expired")],
    ),
    (
        "Commands of the servers",
        "Of all clients, the dashboard's own too.",
        "ops",
        [(server_rate("commands"), "{{server}}")],
    ),
    (
        "Servers that answer",
        "1 or 0; the last line is the database of the figures of the application.",
        "none",
        [(server("up"), "{{server}}"), ("max(cache_admin_database_up)", "database")],
    ),
    (
        "Largest patterns",
        "Bytes in the last stored census, which is no scan of now: see its age beside.",
        "bytes",
        [(f"topk(15, max by (alias, pattern) (cache_admin_pattern_bytes{{{CHOSEN}}}))", "{{alias}} {{pattern}}")],
    ),
    (
        "Age of the census",
        "Of the stored reports that the largest patterns are from.",
        "s",
        [(f"time() - max by (alias) (cache_admin_census_timestamp_seconds{{{CHOSEN}}})", "{{alias}}")],
    ),
]


def panel(number: int, title: str, meaning: str, unit: str, lines: list[tuple[str, str]]) -> dict[str, Any]:
    limits = {"min": 0, "max": 1} if unit == "percentunit" else {"min": 0}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": meaning,
        "datasource": DATASOURCE,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": unit, **limits}, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(lines)
        ],
    }


def dashboard() -> dict[str, Any]:
    """The file as Grafana reads it."""
    aliases = "label_values(cache_admin_hits_total, alias)"
    return {
        "uid": "django-cache-admin",
        "title": "Django caches",
        "tags": ["django", "cache"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "alias",
                    "label": "Cache",
                    "type": "query",
                    "datasource": DATASOURCE,
                    "query": {"query": aliases, "refId": "alias"},
                    "definition": aliases,
                    "refresh": 2,
                    "sort": 1,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": ["All"], "value": ["$__all"]},
                },
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Deploys",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "purple",
                    # The value is the moment, in milliseconds; repeated scrapes of one deploy are one mark.
                    "expr": "max by (deploy) (cache_admin_deploy_timestamp_seconds) * 1000",
                    "useValueForTime": "on",
                    "titleFormat": "Deploy {{deploy}}",
                    "step": "1m",
                }
            ]
        },
        "panels": [panel(number, *given) for number, given in enumerate(PANELS)],
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

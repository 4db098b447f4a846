"""What a server says about itself: the reply of INFO as a :class:`~cache_admin.adapters.base.ServerInfo`.

Field names: https://redis.io/docs/latest/commands/info/ ; Valkey adds ``valkey_version`` and ``server_name``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from django.utils.translation import gettext as _

from cache_admin.adapters.base import Node, ServerInfo
from cache_admin.adapters.servers import Reading, Server

#: Seconds for which one INFO serves all callers of this process.
INFO_SECONDS = 1.0
#: Commands that a walk, a purge or an expiry consists of.
OUR_COMMANDS = frozenset({"del", "memory", "pexpire", "pttl", "scan", "type", "unlink"})
_ROLES = {"master": "primary", "slave": "replica"}


def read(server: Server, alias: str, node: Node, db: int) -> ServerInfo:
    """The server's counters, from an INFO of at most ``INFO_SECONDS`` ago, less our own probes."""
    with server.info_lock:
        last = server.reading
        if last is None or time.monotonic() - last.taken >= INFO_SECONDS:
            with server.link(alias, db) as link:
                fields = parse(link.call(b"INFO"))
            probes = server.probes(forget=last is not None and _began_again(last.fields, fields))
            last = server.reading = Reading(time.monotonic(), time.time(), fields, probes)
    return _server_info(last, node, db)


def parse(text: bytes) -> dict[str, str]:
    """Fields of an INFO reply."""
    lines = text.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def spent(text: bytes) -> float:
    """Seconds spent on our kinds of commands, from ``cmdstat_scan:calls=1,usec=730,...`` of INFO commandstats."""
    microseconds = 0
    for name, stats in parse(text).items():
        if name.removeprefix("cmdstat_").partition("|")[0] in OUR_COMMANDS:
            figures = dict(part.split("=", 1) for part in stats.split(",") if "=" in part)
            microseconds += _whole(figures, "usec") or 0
    return microseconds / 1e6


def keys_in(fields: Mapping[str, str], db: int) -> int:
    """Keys of one database, from the line ``db0:keys=12,expires=3,...``; a database without keys has no line."""
    figures = dict(part.split("=", 1) for part in fields.get(f"db{db}", "").split(",") if "=" in part)
    return _whole(figures, "keys") or 0


def _began_again(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether the counters were reset between two readings, by a restart or CONFIG RESETSTAT."""
    if before.get("run_id") != now.get("run_id"):
        return True
    counters = ("keyspace_hits", "keyspace_misses", "total_commands_processed")
    return any((_whole(now, name) or 0) < (_whole(before, name) or 0) for name in counters)


def _server_info(reading: Reading, node: Node, db: int) -> ServerInfo:
    fields = reading.fields
    valkey = "valkey_version" in fields
    hits, probed_hits = _less(_whole(fields, "keyspace_hits"), reading.probes[0])
    misses, probed_misses = _less(_whole(fields, "keyspace_misses"), reading.probes[1])
    return ServerInfo(
        node=node,
        at=reading.at,
        run_id=fields.get("run_id", ""),
        product="Valkey" if valkey else "Redis",
        version=fields.get("valkey_version" if valkey else "redis_version", ""),
        role=_ROLES.get(fields.get("role", ""), ""),
        uptime=_whole(fields, "uptime_in_seconds"),
        keys=keys_in(fields, db),
        hits=hits,
        misses=misses,
        evicted=_whole(fields, "evicted_keys"),
        expired=_whole(fields, "expired_keys"),
        commands=_whole(fields, "total_commands_processed"),
        ops_per_second=_number(fields, "instantaneous_ops_per_sec"),
        memory=_whole(fields, "used_memory"),
        memory_peak=_whole(fields, "used_memory_peak"),
        memory_limit=_whole(fields, "maxmemory"),
        policy=fields.get("maxmemory_policy", ""),
        fragmentation=_number(fields, "mem_fragmentation_ratio"),
        clients=_whole(fields, "connected_clients"),
        clients_limit=_whole(fields, "maxclients"),
        notes=tuple(_notes(fields)),
        probed_hits=probed_hits,
        probed_misses=probed_misses,
    )


def _notes(fields: Mapping[str, str]) -> list[str]:
    notes = []
    if fields.get("loading") == "1" or fields.get("async_loading") == "1":
        notes.append(_("loading dataset, %(share)d %%") % {"share": _number(fields, "loading_loaded_perc") or 0})
    if fields.get("master_link_status") == "down":
        notes.append(_("this replica lost its primary"))
    if fields.get("rdb_last_bgsave_status") == "err":
        notes.append(_("the last snapshot failed"))
    return notes


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    number = _number(fields, name)
    return None if number is None else int(number)


def _number(fields: Mapping[str, str], name: str) -> float | None:
    try:
        return float(fields[name])
    except (KeyError, ValueError):
        return None


def _less(count: int | None, probes: int) -> tuple[int | None, int]:
    """A counter without our probes, and how many were taken off."""
    if count is None:
        return None, 0
    taken = min(count, probes)
    return count - taken, taken

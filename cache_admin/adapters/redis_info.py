"""What a server says about itself: the reply of INFO as a :class:`~cache_admin.adapters.base.ServerInfo`.

Field names: https://redis.io/docs/latest/commands/info/ ; Valkey adds ``valkey_version`` and ``server_name``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from redis.exceptions import NoPermissionError, ResponseError

from cache_admin.adapters.connections import Link, Reply
from cache_admin.adapters.server_info import Latency, Node, ServerInfo, SlowCommand
from cache_admin.adapters.servers import Reading, Server

#: Seconds for which one INFO serves all callers of this process.
INFO_SECONDS = 1.0
#: Commands that a walk, a purge or an expiry consists of.
OUR_COMMANDS = frozenset({"del", "memory", "pexpire", "pttl", "scan", "type", "unlink"})
#: How many commands a reading tells the latencies of.
MOST_LATENCIES = 5
_LATENCY = "latency_percentiles_usec_"
_ROLES = {"master": "primary", "slave": "replica"}


def read(server: Server, alias: str, node: Node, db: int) -> ServerInfo:
    """The server's counters, from an INFO of at most ``INFO_SECONDS`` ago, less our own probes."""
    with server.info_lock:
        last = server.reading
        if last is None or time.monotonic() - last.taken >= INFO_SECONDS:
            with server.link(alias, db) as link:
                began = time.perf_counter()
                text = _info(server, link)
                waited = time.perf_counter() - began
            fields = parse(text)
            probes = server.probes(forget=last is not None and _began_again(last.fields, fields))
            last = server.reading = Reading(time.monotonic(), time.time(), fields, probes, waited)
    return _server_info(last, node, db)


def _info(server: Server, link: Link) -> bytes:
    """The reply of INFO, with latencies since Redis 7; older servers take one section at a time."""
    if server.latencies:
        try:
            text: bytes = link.call(b"INFO", b"default", b"latencystats")
        except NoPermissionError:
            raise
        except ResponseError:
            server.latencies = False
        else:
            return text
    plain: bytes = link.call(b"INFO")
    return plain


def slow(entries: Sequence[Reply]) -> tuple[SlowCommand, ...]:
    """Entries of SLOWLOG GET: id, Unix time, microseconds, the command with its arguments, and who sent it."""
    return tuple(
        [
            SlowCommand(float(entry[1]), int(entry[2]), entry[3][0].decode("utf-8", "replace").lower())
            for entry in entries
        ]
    )


def parse(text: bytes) -> dict[str, str]:
    """Fields of an INFO reply."""
    lines = text.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def spent(text: bytes) -> float:
    """Seconds spent on our kinds of commands, from ``cmdstat_scan:calls=1,usec=730,...`` of INFO commandstats."""
    microseconds = 0
    for name, stats in parse(text).items():
        if name.removeprefix("cmdstat_").partition("|")[0] in OUR_COMMANDS:
            microseconds += _whole(_figures(stats), "usec") or 0
    return microseconds / 1e6


def keyspace(fields: Mapping[str, str]) -> dict[str, int]:
    """Keys by database, from lines ``db0:keys=12,expires=3,...``; a database without keys has no line."""
    lines = {name[2:]: line for name, line in fields.items() if name.startswith("db") and name[2:].isdigit()}
    return {db: _whole(_figures(line), "keys") or 0 for db, line in lines.items()}


def _figures(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split(",") if "=" in part)


def _began_again(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether the counters were reset between two readings, by a restart or CONFIG RESETSTAT."""
    if before.get("run_id") != now.get("run_id"):
        return True
    counters = ("keyspace_hits", "keyspace_misses", "total_commands_processed")
    return any((_whole(now, name) or 0) < (_whole(before, name) or 0) for name in counters)


def _server_info(reading: Reading, node: Node, db: int) -> ServerInfo:
    fields = reading.fields
    valkey = "valkey_version" in fields
    role = _ROLES.get(fields.get("role", ""), "")
    keys = keyspace(fields)
    hits, probed_hits = _less(_whole(fields, "keyspace_hits"), reading.probes[0])
    misses, probed_misses = _less(_whole(fields, "keyspace_misses"), reading.probes[1])
    lag_seconds, lag_bytes = _lag(fields, role)
    return ServerInfo(
        node=node,
        at=reading.at,
        run_id=fields.get("run_id", ""),
        product="Valkey" if valkey else "Redis",
        version=fields.get("valkey_version" if valkey else "redis_version", ""),
        role=role,
        uptime=_whole(fields, "uptime_in_seconds"),
        keys=keys.get(str(db), 0),
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
        rejected=_whole(fields, "rejected_connections"),
        loading=_loading(fields),
        cluster=fields.get("cluster_enabled") == "1",
        replicas=_whole(fields, "connected_slaves"),
        link_up=_is(fields, "master_link_status", "up"),
        lag_seconds=lag_seconds,
        lag_bytes=lag_bytes,
        saved=_is(fields, "rdb_last_bgsave_status", "ok"),
        saved_at=_number(fields, "rdb_last_save_time"),
        changes_unsaved=_whole(fields, "rdb_changes_since_last_save"),
        appended=_is(fields, "aof_last_write_status", "ok"),
        latencies=_latencies(fields),
        answered_in=round(reading.waited, 4),
        keyspace=keys,
        probed_hits=probed_hits,
        probed_misses=probed_misses,
    )


def _lag(fields: Mapping[str, str], role: str) -> tuple[float | None, int | None]:
    """Seconds and bytes behind: of the slowest replica in sync, or of this replica (seconds only, -1 when cut off)."""
    if role == "replica":
        seconds = _number(fields, "master_last_io_seconds_ago")
        return (None if seconds is None or seconds < 0 else seconds), None
    lines = [line for name, line in fields.items() if name.startswith("slave") and name[5:].isdigit()]
    replicas = [found for found in map(_figures, lines) if found.get("state") == "online"]
    written = _whole(fields, "master_repl_offset")
    confirmed = [offset for found in replicas if (offset := _whole(found, "offset")) is not None]
    return (
        max((lag for found in replicas if (lag := _number(found, "lag")) is not None), default=None),
        None if written is None else max((max(0, written - offset) for offset in confirmed), default=None),
    )


def _loading(fields: Mapping[str, str]) -> float | None:
    """Not while a replica loads beside the data that it goes on to serve (``async_loading``)."""
    if fields.get("loading") != "1":
        return None
    return (_number(fields, "loading_loaded_perc") or 0.0) / 100


def _latencies(fields: Mapping[str, str]) -> tuple[Latency, ...]:
    """From lines ``latency_percentiles_usec_get:p50=1.003,p99=2.007,p99.9=9.023``; which ones is configured."""
    found = []
    for name, line in fields.items():
        if name.startswith(_LATENCY):
            figures = _figures(line)
            p50, p99, p999 = (_number(figures, percentile) for percentile in ("p50", "p99", "p99.9"))
            found.append(Latency(name.removeprefix(_LATENCY), p50, p99, p999))
    return tuple(sorted(found, key=lambda latency: latency.p99 or 0.0, reverse=True)[:MOST_LATENCIES])


def _is(fields: Mapping[str, str], name: str, value: str) -> bool | None:
    return fields[name] == value if name in fields else None


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

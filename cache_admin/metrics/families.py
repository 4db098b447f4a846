"""What is exported: the name, type, labels and meaning of every metric. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

PREFIX = "cache_admin_"

PATTERN = ("alias", "pattern")
SERVER = ("server",)
CONTENTS = ("alias", "pattern", "complete")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. The name of a counter is without ``_total``, which the exposition adds."""

    name: str
    meaning: str
    labels: Sequence[str]
    counter: bool = False

    def made(self) -> CounterMetricFamily | GaugeMetricFamily:
        """An empty family of the library."""
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        return kind(PREFIX + self.name, self.meaning, labels=self.labels)


#: Metrics of the application by fields of ``Counts``, and what one of a field is in units of the metric.
COUNTED: dict[str, tuple[Family, float]] = {
    field: (Family(name, meaning, PATTERN, counter=True), unit)
    for field, name, meaning, unit in (
        ("hits", "hits", "Keys looked up and found; a stored None is found.", 1),
        ("misses", "misses", "Keys looked up and not found.", 1),
        ("sets", "sets", "Keys stored.", 1),
        ("deletes", "deletes", "Keys deleted by the application.", 1),
        ("others", "other_operations", "Keys touched, or counted up or down.", 1),
        ("errors", "errors", "Operations that raised.", 1),
        ("micros", "operation_seconds", "Seconds spent in the cache.", 1e-6),
        ("size", "written_bytes", "Bytes stored by measured_sets.", 1),
        ("sized", "measured_sets", "Sets whose bytes are known: of text, bytes and the like.", 1),
        ("rebuilds", "rebuilds", "Values computed after a miss.", 1),
        ("rebuild_micros", "rebuild_seconds", "Seconds spent in computing values after a miss.", 1e-6),
        ("duplicates", "duplicate_rebuilds", "Rebuilds while another caller was at the same key: stampedes.", 1),
        ("duplicate_micros", "duplicate_rebuild_seconds", "Seconds of duplicate rebuilds.", 1e-6),
        ("early", "early_misses", "Misses of keys that were stored and had not expired: mostly evicted.", 1),
    )
}

#: Metrics of a server by fields of ``ServerInfo``. Counters are the server's own and start again when it does.
SERVER_GAUGES: dict[str, Family] = {
    "uptime": Family("server_uptime_seconds", "Seconds since the server started.", SERVER),
    "memory": Family("server_memory_bytes", "Bytes used.", SERVER),
    "memory_limit": Family("server_memory_limit_bytes", "Most bytes to use; 0 is no limit.", SERVER),
    "fragmentation": Family("server_memory_fragmentation_ratio", "Resident bytes by used bytes.", SERVER),
    "clients": Family("server_clients", "Connections.", SERVER),
    "clients_limit": Family("server_clients_limit", "Most connections.", SERVER),
    "ops_per_second": Family("server_operations_per_second", "Commands a second, as the server says.", SERVER),
    "lag_seconds": Family("server_replication_lag_seconds", "Seconds since the other side was heard of.", SERVER),
}
SERVER_COUNTERS: dict[str, Family] = {
    field: Family(f"server_{name}", meaning, SERVER, counter=True)
    for field, name, meaning in (
        ("commands", "commands", "Commands, of all clients."),
        ("hits", "hits", "Keys found, of all databases and clients, those of this dashboard too."),
        ("misses", "misses", "Keys not found, of all databases and clients, those of this dashboard too."),
        ("evicted", "evicted_keys", "Keys evicted for want of memory."),
        ("expired", "expired_keys", "Keys that expired."),
        ("rejected", "rejected_connections", "Connections refused because there were too many."),
    )
}

UP = Family("server_up", "Whether the server answers, 1 or 0. While it does not, nothing else is told of it.", SERVER)
INFO = Family("server_info", "1, with what the server is.", ("alias", "server", "product", "version", "role", "policy"))
KEYS = Family("keys", "Keys of the database of an alias, all owners.", ("alias", "server"))
READ_AT = Family("server_read_timestamp_seconds", "Unix time at which the server said this.", SERVER)
PATTERN_KEYS = Family("pattern_keys", "Keys in the stored census.", CONTENTS)
PATTERN_BYTES = Family("pattern_bytes", "Bytes in the stored census.", CONTENTS)
CENSUS_AT = Family("census_timestamp_seconds", "Unix time of the stored census.", ("alias", "complete"))
DEPLOYED_AT = Family("deploy_timestamp_seconds", "Unix time of a deploy.", ("deploy",))
DATABASE_UP = Family("database_up", "Whether the database gave counts, reports and deploys, 1 or 0.", ())
SHARE = Family("recording_share", "Share of the operations that is counted; counters are scaled up. 0 is off.", ())

ALL: tuple[Family, ...] = (
    *(family for family, _unit in COUNTED.values()),
    *(UP, INFO, KEYS, READ_AT),
    *SERVER_GAUGES.values(),
    *SERVER_COUNTERS.values(),
    *(PATTERN_KEYS, PATTERN_BYTES, CENSUS_AT, DEPLOYED_AT, DATABASE_UP, SHARE),
)


class Sheet:
    """All families, to be filled."""

    def __init__(self) -> None:
        self._made = {family.name: family.made() for family in ALL}

    def add(self, family: Family, labels: Sequence[str], value: float | None) -> None:
        """One sample; what is not known is left out."""
        if value is not None:
            self._made[family.name].add_metric(labels, value)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._made.values())

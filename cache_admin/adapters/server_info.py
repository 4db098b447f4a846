"""What a server says about itself, as facts that any adapter may give and monitoring stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Node:
    """One physical server of an alias. ``name`` is shown and never holds credentials; ``index`` is its place in
    LOCATION."""

    index: int
    name: str
    primary: bool = True


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one command took the server since its counters began: microseconds, without the network."""

    command: str  #: in lower case, e.g. "get" or "memory|usage"
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry of a slow log: the name of the command alone, for its arguments are keys and values."""

    at: float  #: Unix time, seconds
    microseconds: int
    command: str  #: in lower case


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """One reading of a server's own counters. ``None`` means the server does not say.

    Counters (hits .. commands, rejected) run since the server's start or last reset; take differences of two readings
    with one ``run_id`` only.
    ``hits`` and ``misses`` are of the whole server, all its databases and clients, less the probes this process made
    itself.
    """

    node: Node
    at: float  #: Unix time of the reading, seconds
    run_id: str
    product: str  #: "Redis", "Valkey", "Memcached" or the backend's class name
    version: str
    role: str  #: "primary", "replica" or "" where there is no such thing
    uptime: int | None = None  #: seconds
    keys: int | None = None  #: keys of the alias's database, all owners
    hits: int | None = None
    misses: int | None = None
    evicted: int | None = None
    expired: int | None = None
    commands: int | None = None
    ops_per_second: float | None = None
    memory: int | None = None  #: bytes used by the server
    memory_peak: int | None = None  #: bytes
    memory_limit: int | None = None  #: bytes; 0 means no limit
    policy: str = ""  #: eviction policy, e.g. "allkeys-lru"
    fragmentation: float | None = None  #: resident bytes per used byte
    clients: int | None = None
    clients_limit: int | None = None
    rejected: int | None = None  #: connections refused because there were too many
    loading: float | None = None  #: share of the dataset read so far, 0 to 1; None when it is not loading
    cluster: bool = False  #: it is a node of a cluster, and holds a part of the keys
    replicas: int | None = None  #: that follow this server
    link_up: bool | None = None  #: of a replica: whether it reaches its primary
    lag_seconds: float | None = None  #: since the slowest replica, or this replica's primary, was heard of
    lag_bytes: int | None = None  #: of the replication stream that the slowest replica has not confirmed
    saved: bool | None = None  #: whether the last snapshot went well
    saved_at: float | None = None  #: Unix time of the last snapshot, or of the start
    changes_unsaved: int | None = None  #: since the last snapshot
    appended: bool | None = None  #: whether the last write to the append-only file went well
    latencies: tuple[Latency, ...] = ()  #: of the slowest commands, by ``p99``
    answered_in: float | None = None  #: seconds from asking for this reading to having it, the network's included
    keyspace: Mapping[str, int] = field(default_factory=dict)  #: keys by name of the database; empty ones left out
    probed_hits: int = 0  #: probes of this process already taken off ``hits``
    probed_misses: int = 0  #: the same for ``misses``

    @property
    def memory_share(self) -> float | None:
        """Bytes used per byte of the limit; ``None`` without a limit."""
        return self.memory / self.memory_limit if self.memory is not None and self.memory_limit else None

    @property
    def hit_rate(self) -> float | None:
        """Hits of all look-ups since the counters began, 0 to 1; ``None`` without look-ups."""
        hits = self.hits or 0
        lookups = hits + (self.misses or 0)
        return hits / lookups if lookups else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is out of order by itself, in translated sentences, e.g. "loading dataset, 41 %"."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.loading is not None:
            yield _("loading dataset, %(share)d %%") % {"share": self.loading * 100}
        if self.link_up is False:
            yield _("this replica lost its primary")
        if self.saved is False:
            yield _("the last snapshot failed")
        if self.appended is False:
            yield _("the last write to the append-only file failed")

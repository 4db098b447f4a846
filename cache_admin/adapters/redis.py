"""Django's own ``RedisCache``, and the commands for every cache that is a plain Redis or Valkey server."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, ClassVar, TypeVar

from django.utils.translation import gettext as _

from cache_admin.adapters import redis_changes, redis_info, servers
from cache_admin.adapters.addresses import Address
from cache_admin.adapters.base import (
    DELETE_BATCH,
    SCAN_COUNT,
    Adapter,
    ChooseProbes,
    KeyInfo,
    MeasuredPage,
    RawValue,
    Removed,
    ScanPage,
    Storage,
)
from cache_admin.adapters.connections import Link, pack
from cache_admin.adapters.redis_values import Look
from cache_admin.adapters.redis_walk import Walk, listed, scan_command
from cache_admin.adapters.server_info import Node, ServerInfo, SlowCommand
from cache_admin.exceptions import Unavailable

T = TypeVar("T")
#: Most entries of a slow log that are fetched; each comes with arguments of some kilobytes, which are thrown away.
MOST_SLOW = 100


@dataclass(slots=True)
class RedisAdapter(Adapter):
    """One alias on plain servers: the first of LOCATION is the primary and answers everything that names no node."""

    can_list: ClassVar[bool] = True
    can_measure: ClassVar[bool] = True
    can_tell_server: ClassVar[bool] = True
    can_tell_slow: ClassVar[bool] = True
    can_inspect: ClassVar[bool] = True
    can_change: ClassVar[bool] = True
    label: ClassVar[str] = "Redis"
    serves: ClassVar[tuple[str, ...]] = ("django.core.cache.backends.redis.RedisCache",)

    _addresses: tuple[Address, ...] = field(init=False, default=())

    def locations(self) -> list[tuple[str, Mapping[str, Any]]]:
        """URL and connection options of each server, as the host project's own pools get them."""
        cache: Any = self.cache
        return [(url, cache._cache._pool_options) for url in cache._cache._servers]

    @property
    def storage(self) -> Storage:
        cache: Any = self.cache
        serializer = type(cache._cache._serializer)
        path = f"{serializer.__module__}.{serializer.__qualname__}"
        return Storage(serializer="pickle" if path == "django.core.cache.backends.redis.RedisSerializer" else path)

    def nodes(self) -> tuple[Node, ...]:
        self._address()
        return tuple([Node(i, address.name, i == 0) for i, address in enumerate(self._addresses)])

    def info(self, node: Node | None = None) -> ServerInfo:
        address = self._address(node)
        return redis_info.read(servers.at(address), self.alias, node or self.nodes()[0], address.db)

    @property
    def database(self) -> str:
        return str(self._address().db)

    def probed(self, node: Node) -> tuple[int, int]:
        return servers.probed(self._address(node).name)

    def heard(self, node: Node, *, answered: float | None = None, silent_since: float | None = None) -> None:
        servers.at(self._address(node)).heard(answered, silent_since)

    def slow_log(self, limit: int = 10, node: Node | None = None) -> tuple[SlowCommand, ...]:
        address = self._address(node)
        with servers.at(address).link(self.alias, address.db) as link:
            return redis_info.slow(link.call(b"SLOWLOG", b"GET", b"%d" % max(1, min(limit, MOST_SLOW))))

    def count(self) -> int:
        with self._link() as link:
            return int(link.call(b"DBSIZE"))

    def scan(self, cursor: int = 0, glob: bytes = b"", count: int = SCAN_COUNT, run_id: str = "") -> ScanPage:
        with self._link() as link:
            current = link.run_id()
            if run_id != current:
                cursor = 0
            cursor, keys = listed(link.exchange([scan_command(cursor, glob, count)])[0])
        return ScanPage(cursor, tuple(keys), self.nodes()[0], current)

    def walk(
        self,
        choose: ChooseProbes,
        *,
        cursor: int = 0,
        run_id: str = "",
        glob: bytes = b"",
    ) -> Generator[MeasuredPage, None, None]:
        address = self._address()
        server = servers.at(address)
        open_link = partial(server.link, self.alias, address.db)
        walk = Walk(self.alias, open_link, server.count_probes, choose, glob, address.db)
        return walk.pages(cursor, run_id)

    def spent(self) -> float | None:
        with self._link() as link:
            reply = link.exchange([pack(b"INFO", b"commandstats")])[0]
        return redis_info.spent(reply) if isinstance(reply, bytes) else None

    def key_info(self, raw: bytes) -> KeyInfo:
        with self._link() as link:
            return Look(link, self._count_probes, raw).facts()

    def read(self, raw: bytes, *, start: int = 0, limit: int = 65_536, entries: int = 100) -> RawValue:
        with self._link() as link:
            return Look(link, self._count_probes, raw).window(max(0, start), max(1, limit), max(1, entries))

    def encode(self, value: object) -> bytes:
        cache: Any = self.cache
        stored = cache._cache._serializer.dumps(value)
        return stored if isinstance(stored, bytes) else str(stored).encode()

    def exists(self, key: str) -> bool:
        with self._link() as link:
            found = bool(link.call(b"EXISTS", self.codec.raw(key)))
        self._count_probes(found, not found)
        return found

    def delete(self, keys: Sequence[bytes]) -> Removed:
        total = Removed(0, 0)
        for batch in _batches(dict.fromkeys(keys)):
            with self._link() as link:
                done = redis_changes.delete(link, batch, self._count_probes)
            total = Removed(
                total.keys + done.keys,
                total.size + done.size,
                total.measured and done.measured,
                (*total.notes, *done.notes),
            )
        return total

    def delete_user_key(self, key: str) -> bool:
        return self.delete([self.codec.raw(key)]).keys > 0

    def expire(self, ttls: Mapping[bytes, int | None], *, only_sooner: bool = False) -> int:
        if any(ttl is not None and ttl < 1 for ttl in ttls.values()):
            raise ValueError("an expiry below one millisecond would delete the key")
        changed = 0
        for batch in _batches(ttls.items()):
            with self._link() as link:
                changed += redis_changes.expire(link, dict(batch), only_sooner, self._count_probes)
        return changed

    def _address(self, node: Node | None = None) -> Address:
        if not self._addresses:
            try:
                self._addresses = tuple([Address.of(url, options) for url, options in self.locations()])
            except (ValueError, TypeError):
                # The client's own text may repeat the URL, which holds the password.
                raise Unavailable(_("%(alias)s: its LOCATION cannot be read.") % {"alias": self.alias}) from None
        return self._addresses[node.index if node else 0]

    def _link(self) -> AbstractContextManager[Link]:
        address = self._address()
        return servers.at(address).link(self.alias, address.db)

    def _count_probes(self, hits: int, misses: int) -> None:
        servers.at(self._address()).count_probes(hits, misses)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, DELETE_BATCH)):
        yield batch

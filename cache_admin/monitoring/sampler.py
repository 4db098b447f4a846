"""Readings of the servers' own counters, taken when somebody looks.

Fifty open pages cost one INFO: within ``STEP`` seconds a process asks each server once, answers everybody else from
that reading (or from that failure), and stores it as at most one :class:`~cache_admin.models.ServerSample` per server
and slot, whichever process comes first.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from cache_admin.adapters import adapter as adapter_of
from cache_admin.adapters.base import Adapter, Node, ServerInfo
from cache_admin.exceptions import CacheAdminError, NotPermitted, Unavailable
from cache_admin.models import ServerSample

logger = logging.getLogger(__name__)

STEP = 5.0  #: seconds between two readings of a server
KEEP = 86_400.0  #: seconds for which samples are kept
TRIM_EVERY, TRIM_CHUNK, TRIM_CHUNKS = 100, 500, 20
#: Seconds for which nothing is stored after the database refused, so that a locked one slows one card a minute.
STORE_AGAIN = 60.0
_STORED = tuple(f.name for f in fields(ServerInfo) if f.name not in {"node", "notes", "keys"})


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What one server said last. ``error`` is set when it does not answer now; ``info`` is then its last good word."""

    node: Node
    server: str  #: digest under which its samples are stored
    info: ServerInfo | None
    error: CacheAdminError | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All servers of an alias, primary first. ``history_off`` says in words why nothing is stored, or is empty."""

    alias: str
    nodes: tuple[NodeReading, ...]
    history_off: str = ""

    @property
    def primary(self) -> NodeReading:
        return self.nodes[0]


@dataclass(slots=True)
class _Slot:
    """What this process knows of one server. The lock makes simultaneous cards wait for one reading."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: float = float("-inf")  # monotonic
    reading: NodeReading | None = None


class _Store:
    """Whether samples can be stored, and how often old ones are trimmed."""

    def __init__(self) -> None:
        self.refused = float("-inf")  # monotonic
        self.stored = 0

    @property
    def off(self) -> bool:
        return time.monotonic() - self.refused < STORE_AGAIN

    def add(self, server: str, info: ServerInfo) -> None:
        if self.off:
            return
        try:
            with transaction.atomic():
                ServerSample.objects.bulk_create(
                    [
                        ServerSample(
                            server=server,
                            slot=int(info.at // STEP),
                            at=info.at,
                            run_id=info.run_id,
                            reading={name: getattr(info, name) for name in _STORED} | {"process": os.getpid()},
                        )
                    ],
                    ignore_conflicts=True,
                )
            if self.stored % TRIM_EVERY == 0:
                trim(info.at - KEEP)
            self.stored += 1
        except DatabaseError:
            logger.warning("A server sample could not be stored; history pauses.", exc_info=True)
            self.refused = time.monotonic()


_slots: dict[tuple[str, str], _Slot] = {}
_store = _Store()


def reading(alias: str) -> Reading:
    """The servers of an alias, read now or at most ``STEP`` seconds ago. A server that fails says so in its place.

    Raises :class:`UnknownAlias`, and :class:`Unsupported` for a cache without servers.
    """
    adapter = adapter_of(alias)
    nodes = adapter.nodes()
    if not nodes or not adapter.can_tell_server:
        adapter.info()  # raises Unsupported in the adapter's own words
    found = tuple(_read(adapter, node) for node in nodes)
    off = _("History is off: the database takes no samples now.") if _store.off else ""
    return Reading(alias, found, off)


def server_id(node: Node) -> str:
    """Digest of a server, the same for all aliases on it. Keyed, so no address can be guessed back."""
    return salted_hmac("cache_admin.server", node.name, algorithm="sha256").hexdigest()


def _read(adapter: Adapter, node: Node) -> NodeReading:
    server = server_id(node)
    params: Any = settings.CACHES[adapter.alias]
    # Aliases on one database share a reading; those on another one have other keys in theirs.
    place = server, repr(params.get("LOCATION"))
    slot = _slots.setdefault(place, _Slot())
    with slot.lock:
        last = slot.reading
        if last is None or time.monotonic() - slot.asked >= STEP:
            last = slot.reading = _ask(adapter, node, server, last)
            slot.asked = time.monotonic()
        return last


def _ask(adapter: Adapter, node: Node, server: str, before: NodeReading | None) -> NodeReading:
    try:
        info = adapter.info(node)
    except (Unavailable, NotPermitted) as error:
        return NodeReading(node, server, before.info if before else last_stored(server, node), error)
    _store.add(server, info)
    return NodeReading(node, server, info)


def last_stored(server: str, node: Node) -> ServerInfo | None:
    """The newest stored reading of a server, from whichever process took it."""
    try:
        with transaction.atomic():
            sample = ServerSample.objects.filter(server=server).order_by("-slot").first()
    except DatabaseError:
        return None
    return info_of(sample, node) if sample else None


def info_of(sample: ServerSample, node: Node) -> ServerInfo:
    """A stored sample as the reading it was; fields that a later version added are left at their defaults."""
    known: dict[str, Any] = {name: value for name, value in sample.reading.items() if name in _STORED}
    return ServerInfo(node=node, **known)


def trim(before: float) -> int:
    """Deletes samples from before a Unix time, in chunks, at most ``TRIM_CHUNK * TRIM_CHUNKS`` at once."""
    deleted = 0
    for _chunk in range(TRIM_CHUNKS):
        old = list(ServerSample.objects.filter(at__lt=before).order_by("pk").values_list("pk", flat=True)[:TRIM_CHUNK])
        if not old:
            break
        deleted += ServerSample.objects.filter(pk__in=old).delete()[0]
    return deleted


def forget() -> None:
    """Drops what this process remembers; for tests."""
    global _store
    _slots.clear()
    _store = _Store()

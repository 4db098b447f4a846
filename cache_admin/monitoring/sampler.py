"""Readings of the servers' own counters: taken at a fixed step by one process of all, and shared through the database.

:func:`sample_all` takes them without a page open. A page (:func:`reading`) uses the newest one, whoever took it, and
asks by itself only where nobody did for two steps, or where the database is away. So fifty open pages over several
processes cost one INFO per server and step.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from cache_admin.adapters import adapter as adapter_of
from cache_admin.adapters import aliases
from cache_admin.adapters.base import Adapter
from cache_admin.adapters.server_info import Node, ServerInfo
from cache_admin.exceptions import CacheAdminError, NotPermitted, Unavailable
from cache_admin.models import ServerSample
from cache_admin.monitoring import leases, thinning
from cache_admin.monitoring.samples import STEP, Store, info_of

logger = logging.getLogger(__name__)

#: Seconds for which a process keeps the sampling of a server. Asked for anew each step, so one may be missed.
HOLD = 2 * STEP
#: Seconds to wait for the first reading that another process is taking in this moment, and between two looks for it.
AWAIT, LOOK_AGAIN = 0.5, 0.05
#: Seconds by which the two clocks of a machine must differ before one of them was set.
JUMP = 5.0


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


@dataclass(frozen=True, slots=True)
class Sampling:
    """What one call of :func:`sample_all` did."""

    taken: tuple[NodeReading, ...]  #: servers that this process asked, answer or error
    left: tuple[Node, ...]  #: servers that another process samples


@dataclass(slots=True)
class _Slot:
    """What this process knows of one server. The lock makes simultaneous cards wait for one reading."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    reading: NodeReading | None = None
    again: float = float("-inf")  #: monotonic time from which another look is due


@dataclass(slots=True)
class _Clock:
    """The last reading of one server that this process took, by two clocks: only one of them can be set."""

    at: float
    steady: float

    def jumped(self, at: float) -> bool:
        return abs((at - self.at) - (time.monotonic() - self.steady)) > JUMP


_slots: dict[tuple[str, str], _Slot] = {}
_clocks: dict[str, _Clock] = {}
_store = Store()


def reading(alias: str) -> Reading:
    """The servers of an alias, as they were at most two steps ago. A server that fails says so in its place.

    Raises :class:`UnknownAlias`, and :class:`Unsupported` for a cache without servers.
    """
    adapter = adapter_of(alias)
    nodes = adapter.nodes()
    if not nodes or not adapter.can_tell_server:
        adapter.info()  # raises Unsupported in the adapter's own words
    found = tuple(_read(adapter, node) for node in nodes)
    off = _("History is off: the database takes no samples now.") if _store.off else ""
    return Reading(alias, found, off)


def sample_all() -> Sampling:
    """Takes a reading of each server of all aliases that no other process samples; to be called every ``STEP``.

    A server that fails is in ``taken`` with its error; a failure of another kind is logged, and the others go on.
    """
    taken: list[NodeReading] = []
    left: list[Node] = []
    for server, adapter, node in _servers():
        try:
            _store.probed(server, *adapter.probed(node))
            if leases.hold(_lease(server), HOLD):
                slot = _slot(adapter, server)
                with slot.lock:
                    taken.append(_take(adapter, node, server, slot))
            else:
                left.append(node)
        except Exception:
            logger.exception("A server of the cache %s could not be sampled.", adapter.alias)
    return Sampling(tuple(taken), tuple(left))


def tell_looks() -> None:
    """Writes down how often this process looked at keys, for those that sample; for one that ends."""
    for server, adapter, node in _servers():
        _store.probed(server, *adapter.probed(node))


def give_up() -> None:
    """Lets other processes sample at once; for one that ends."""
    tell_looks()
    for server, _adapter, _node in _servers():
        leases.release(_lease(server))


def server_id(node: Node) -> str:
    """Digest of a server, the same for all aliases on it. Keyed, so no address can be guessed back."""
    return salted_hmac("cache_admin.server", node.name, algorithm="sha256").hexdigest()


def _servers() -> Iterator[tuple[str, Adapter, Node]]:
    """Each server once, with an alias that reaches it."""
    seen: set[str] = set()
    for alias in aliases():
        try:
            adapter = adapter_of(alias)
            nodes = adapter.nodes() if adapter.can_tell_server else ()
        except CacheAdminError:
            logger.debug("The cache %s has no server that can be sampled.", alias, exc_info=True)
            continue
        for node in nodes:
            if (server := server_id(node)) not in seen:
                seen.add(server)
                yield server, adapter, node


def _lease(server: str) -> str:
    return f"sample:{server}"


def _slot(adapter: Adapter, server: str) -> _Slot:
    params: Any = settings.CACHES[adapter.alias]
    # Aliases on one database share a reading; those on another one have other keys in theirs.
    return _slots.setdefault((server, repr(params.get("LOCATION"))), _Slot())


def _read(adapter: Adapter, node: Node) -> NodeReading:
    server = server_id(node)
    slot = _slot(adapter, server)
    with slot.lock:
        if slot.reading is None or time.monotonic() >= slot.again:
            _store.probed(server, *adapter.probed(node))
            return _stored(adapter, node, server, slot) or _take(adapter, node, server, slot)
        return slot.reading


def _stored(adapter: Adapter, node: Node, server: str, slot: _Slot) -> NodeReading | None:
    """The newest reading that any process took, or None where this one is to ask.

    It is to ask where nobody else does, and where somebody should but has not for two steps.
    """
    if _store.off:
        return None
    found = _store.newest(server)
    if _age(found) > STEP and leases.hold(_lease(server), HOLD):
        return None
    deadline = time.monotonic() + AWAIT
    while _age(found) > HOLD:
        if _store.off or time.monotonic() > deadline or _store.silent_since(server, found.at if found else 0.0):
            return None
        time.sleep(LOOK_AGAIN)
        found = _store.newest(server)
    if found is None:
        return None
    adapter.heard(node, answered=found.at)
    return _keep(slot, NodeReading(node, server, info_of(found, node, adapter.database)), STEP - _age(found))


def _age(sample: ServerSample | None) -> float:
    """Seconds, also where it comes from a clock ahead of ours."""
    return abs(time.time() - sample.at) if sample else float("inf")


def _take(adapter: Adapter, node: Node, server: str, slot: _Slot) -> NodeReading:
    """Asks the server and tells the other processes what it said, or that it did not."""
    try:
        info = _ask(adapter, node, server)
    except (Unavailable, NotPermitted) as error:
        if isinstance(error, Unavailable) and error.since is not None:
            _store.silent(server, error.since)
        last = slot.reading.info if slot.reading else last_stored(server, node, adapter.database)
        return _keep(slot, NodeReading(node, server, last, error), STEP)
    clock = _clocks.get(server)
    _store.add(server, info, jumped=clock is not None and clock.jumped(info.at))
    _clocks[server] = _Clock(info.at, time.monotonic())
    if not _store.off:
        thinning.thin_now_and_then()
    return _keep(slot, NodeReading(node, server, info), STEP)


def _ask(adapter: Adapter, node: Node, server: str) -> ServerInfo:
    try:
        return adapter.info(node)
    except Unavailable as error:
        if error.since is None:
            raise
        # Another process may have met the silence before.
        sample = _store.newest(server)
        since = _store.silent_since(server, sample.at if sample else 0.0)
        if since is None or since >= error.since:
            raise
        adapter.heard(node, silent_since=since)
        return adapter.info(node)  # fails at once, with the earlier time


def _keep(slot: _Slot, found: NodeReading, seconds: float) -> NodeReading:
    slot.reading = found
    slot.again = time.monotonic() + (seconds if seconds > 0 else LOOK_AGAIN)
    return found


def last_stored(server: str, node: Node, database: str) -> ServerInfo | None:
    """The newest stored reading of a server, from whichever process took it."""
    sample = _store.newest(server)
    return info_of(sample, node, database) if sample else None


def forget() -> None:
    """Drops what this process remembers: in a child, for a lock may be held by a thread of its parent; in tests."""
    global _store
    _slots.clear()
    _clocks.clear()
    thinning.forget()
    _store = Store()


os.register_at_fork(after_in_child=forget)

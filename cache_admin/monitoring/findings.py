"""What is wrong with a cache, in words with their evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import number_format, time_format
from django.utils.translation import gettext as _

from cache_admin.adapters import aliases
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.monitoring.history import History
from cache_admin.monitoring.sampler import NodeReading, Reading

Level = Literal["bad", "warn", "good"]
_ORDER: dict[Level, int] = {"bad": 0, "warn": 1, "good": 2}

NEARLY_FULL, FILLING = 0.95, 0.85  #: shares of the memory limit under a policy that evicts nothing
CLIENTS_FULL = 0.9
EVICTING = 0.05  #: evictions per second that are worth a word


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    text: str


def verdict(reading: Reading, history: History) -> Verdict:
    """The worst that can be said of an alias, or that it is healthy."""
    return findings(reading, history)[0]


def findings(reading: Reading, history: History) -> tuple[Verdict, ...]:
    """Everything worth a word, worst first; never empty."""
    several = len(reading.nodes) > 1
    found = [
        Verdict(finding.level, f"{node.node.name}: {finding.text}") if several else finding
        for node in reading.nodes
        for finding in _of_node(node, history)
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.level])) or (Verdict("good", _("healthy")),)


def _of_node(node: NodeReading, history: History) -> Iterator[Verdict]:
    if node.error is not None:
        yield Verdict("bad", about(node.error))
    elif node.info is not None:
        yield from _memory(node.info, history)
        yield from _standing(node, node.info, history)


def about(error: Exception) -> str:
    """The sentence of an error without the alias before it, which stands beside it anyway.

    Aliases on one server share a reading, so it may be another one's.
    """
    alias, _colon, sentence = str(error).partition(": ")
    return sentence if alias in aliases() else str(error)


def _memory(info: ServerInfo, history: History) -> Iterator[Verdict]:
    if info.memory is not None and info.memory_limit == 0:
        used = filesizeformat(info.memory)
        yield Verdict("warn", _("no memory limit: %(used)s used, and the server may keep growing") % {"used": used})
    share = info.memory_share
    if share is None:
        return
    percent = f"{number_format(share * 100, decimal_pos=0)}\u00a0%"
    evicting = history.recent.evictions or 0.0
    if info.policy == "noeviction" and share >= NEARLY_FULL:
        yield Verdict("bad", _("noeviction at %(share)s of max: writes will soon fail") % {"share": percent})
    elif info.policy == "noeviction" and share >= FILLING:
        yield Verdict("warn", _("noeviction at %(share)s of max: nothing makes room") % {"share": percent})
    elif evicting >= EVICTING:
        rate = number_format(evicting, decimal_pos=0 if evicting >= 10 else 1)
        yield Verdict("warn", _("memory %(share)s of max, evicting %(rate)s keys/s") % {"share": percent, "rate": rate})


def _standing(node: NodeReading, info: ServerInfo, history: History) -> Iterator[Verdict]:
    if node.node.primary and info.role == "replica":
        yield Verdict("warn", _("is a replica: it takes no writes"))
    if info.clients and info.clients_limit and info.clients >= CLIENTS_FULL * info.clients_limit:
        numbers = {"clients": info.clients, "limit": info.clients_limit}
        yield Verdict("warn", _("%(clients)s of %(limit)s connections in use") % numbers)
    if history.restarts:
        moment = datetime.fromtimestamp(history.restarts[-1], tz=timezone.get_current_timezone())
        yield Verdict("warn", _("restarted at %(moment)s, began cold") % {"moment": time_format(moment, "H:i:s")})
    for note in info.notes:
        yield Verdict("warn", note)

"""Findings about the servers themselves: is there room, do they answer, follow and save?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone
from django.utils.formats import number_format, time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin import words
from cache_admin.adapters.sentences import about
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.health import wording
from cache_admin.health.facts import HOUR, Facts
from cache_admin.health.finding import Finding, Level, finder, node_finder, of_node
from cache_admin.monitoring.sampler import NodeReading

#: Shares of the memory limit under a policy that evicts nothing: writes fail at 1, and growth needs time to be seen.
NEARLY_FULL, FILLING = 0.95, 0.85
EVICTING = 0.05  #: evictions per second that are worth a word: three a minute
#: Resident bytes per used byte. Beyond 1.5 a third of the memory is lost; under 0.9 a tenth of it must be swapped out.
#: A small server's ratio is that of its code and buffers, so it says nothing.
FRAGMENTED, SWAPPED, FRAGMENTED_BYTES = 1.5, 0.9, 100 * 1024 * 1024
#: A replica is heard of every second; ten of them missed are no accident. 10 MB are what its buffer holds for a while.
LAG_SECONDS, LAG_BYTES = 10.0, 10 * 1024 * 1024
CLIENTS_FULL = 0.9  #: share of the connections: the rest is gone with one more worker
#: A command that long holds up all others; one of a tenth of it is told without alarm.
SLOW_SECONDS = 0.1
DROPPED = 0.1  #: least fall of the servers' hit rate, 0 to 1
LOOKUPS = 1_000  #: in the last half hour, below which its hit rate says nothing
FALLEN_TO = 0.5  #: a cache that misses as often as it hits


@finder("silent")
def silent(facts: Facts) -> Iterator[Finding]:
    nodes = facts.reading.nodes if facts.reading else ()
    mend = _("Look at the server, the network and the credentials; the other caches are not concerned.")
    if facts.unreachable and not any(node.error for node in nodes):
        yield Finding("silent", "bad", facts.unreachable.removesuffix("."), (), mend)
    for node in nodes:
        if node.error is not None:
            found = Finding("silent", "bad", about(node.error).removesuffix("."), _last(node, facts.now), mend)
            yield of_node(found, node) if len(nodes) > 1 else found


def _last(node: NodeReading, now: float) -> tuple[str, ...]:
    if node.info is None:
        return ()
    return (_("last answer %(moment)s") % {"moment": wording.moment(node.info.at, now)},)


@node_finder("loading")
def loading(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    if info.loading is not None:
        text = _("loading dataset, %(share)d %%") % {"share": info.loading * 100}
        yield Finding("loading", "bad", text, (), _("Wait: until then the server answers nothing else."))


@node_finder("cluster")
def cluster(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    if info.cluster:
        text = _("is a node of a cluster: keys of its other nodes are not seen here")
        mend = _(
            "This cache is not configured for a cluster. With a cluster client its keys can be looked up one by one."
        )
        yield Finding("cluster", "warn", text, (), mend)


@node_finder("full")
def full(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    share = info.memory_share
    if info.policy != "noeviction" or share is None or share < FILLING:
        return
    text = (
        _("noeviction at %(share)s of max: writes will soon fail")
        if share >= NEARLY_FULL
        else _("noeviction at %(share)s of max: nothing makes room")
    )
    mend = _("Choose an evicting policy (allkeys-lru for a cache), raise maxmemory, or invalidate what is not needed.")
    level: Level = "bad" if share >= NEARLY_FULL else "warn"
    yield Finding("full", level, text % {"share": _whole(share)}, (_memory(info),), mend, "patterns")


@node_finder("evicting")
def evicting(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    share = info.memory_share
    if share is None or info.policy == "noeviction" or not node.node.primary or facts.evictions < EVICTING:
        return
    figures = {"share": _whole(share), "rate": wording.rate(facts.evictions)}
    text = _("memory %(share)s of max, evicting %(rate)s keys/s") % figures
    mend = _("Raise maxmemory, or shorten what fills the cache: see its largest patterns.")
    yield Finding("evicting", "warn", text, (_memory(info), _policy(info)), mend, "patterns")


@node_finder("no-limit")
def no_limit(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    if info.memory is None or info.memory_limit != 0:
        return
    figures = {"used": words.size(info.memory)}
    text = _("no memory limit: %(used)s used, and the server may keep growing") % figures
    peak = () if info.memory_peak is None else (_("at most %(peak)s so far") % {"peak": words.size(info.memory_peak)},)
    yield Finding("no-limit", "warn", text, peak, _("Set maxmemory and an evicting policy such as allkeys-lru."))


@node_finder("fragmentation")
def fragmentation(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    ratio, memory = info.fragmentation, info.memory or 0
    if ratio is None or memory < FRAGMENTED_BYTES or SWAPPED <= ratio < FRAGMENTED:
        return
    resident = {"resident": words.size(ratio * memory), "used": words.size(memory)}
    evidence = (_("%(resident)s in memory for %(used)s of data") % resident,)
    times = number_format(ratio, decimal_pos=2)
    if ratio >= FRAGMENTED:
        text = _("fragmented: takes %(times)s times the memory of its data") % {"times": times}
        mend = _("Switch activedefrag on, or restart the server at a quiet hour.")
        yield Finding("fragmentation", "warn", text, evidence, mend)
    else:
        text = _("swapped: only %(times)s of its data are in memory") % {"times": _whole(ratio)}
        mend = _("Give the machine more memory, or lower maxmemory: a cache on disk is slower than none.")
        yield Finding("fragmentation", "bad", text, evidence, mend)


@node_finder("replication")
def replication(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    mend = _("Look at the network between the servers, and at the load of the replica.")
    if info.link_up is False:
        yield Finding("replication", "bad", _("this replica lost its primary"), (), mend)
    elif (info.lag_seconds or 0) >= LAG_SECONDS or (info.lag_bytes or 0) >= LAG_BYTES:
        figures = []
        if info.lag_seconds is not None:
            figures.append(_("last heard of %(time)s ago") % {"time": wording.duration(info.lag_seconds)})
        if info.lag_bytes is not None:
            figures.append(_("%(size)s not confirmed") % {"size": words.size(info.lag_bytes)})
        yield Finding("replication", "warn", _("a replica lags behind: reads from it are stale"), tuple(figures), mend)


@node_finder("replica")
def replica(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    if node.node.primary and info.role == "replica":
        mend = _("Point LOCATION at the primary, or ask whether there was a failover.")
        yield Finding("replica", "warn", _("is a replica: it takes no writes"), (), mend)


@node_finder("persistence")
def persistence(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    texts = [
        *([_("the last snapshot failed: the server may refuse writes")] if info.saved is False else []),
        *([_("the last write to the append-only file failed")] if info.appended is False else []),
    ]
    if not texts:
        return
    figures = []
    if info.saved_at is not None:
        figures.append(_("last good snapshot %(moment)s") % {"moment": wording.moment(info.saved_at, facts.now)})
    if info.changes_unsaved is not None:
        changes = {"number": words.number(info.changes_unsaved)}
        figures.append(_("%(number)s changes since") % changes)
    mend = _('Look at the disk and the log of the server; a cache may also do without snapshots (save "").')
    yield Finding("persistence", "bad", texts[0], (*texts[1:], *figures), mend)


@node_finder("connections")
def connections(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    mend = _("Look for clients without a pool, or raise maxclients.")
    refused = facts.stored.rejected.get(node.server, 0)
    numbers = {"clients": info.clients, "limit": info.clients_limit, "refused": words.number(refused)}
    full = info.clients and info.clients_limit and info.clients >= CLIENTS_FULL * info.clients_limit
    if refused:
        text = ngettext(
            "refused one connection in the last hour", "refused %(refused)s connections in the last hour", refused
        )
        evidence = (_("%(clients)s of %(limit)s connections in use") % numbers,)
        yield Finding("connections", "bad" if full else "warn", text % numbers, evidence, mend)
    elif full:
        yield Finding("connections", "warn", _("%(clients)s of %(limit)s connections in use") % numbers, (), mend)


@finder("restarted")
def restarted(facts: Facts) -> Iterator[Finding]:
    restarts = facts.history.restarts if facts.history else ()
    if restarts:
        moment = datetime.fromtimestamp(restarts[-1], tz=timezone.get_current_timezone())
        text = _("restarted at %(moment)s, began cold") % {"moment": time_format(moment, "H:i:s")}
        number = ngettext("one restart", "%(number)s restarts", len(restarts)) % {"number": len(restarts)}
        evidence = (_("%(restarts)s in the last 15 minutes") % {"restarts": number},)
        yield Finding("restarted", "warn", text, evidence, _("Run the warmers; ask why it restarted."), "warmers")


@node_finder("slow-log")
def slow_log(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    recent = [one for one in facts.slow.get(node.server, ()) if facts.now - one.at <= HOUR]
    if not recent:
        return
    worst = max(recent, key=lambda one: one.microseconds)
    took = {"command": worst.command, "time": wording.duration(worst.microseconds / 1e6)}
    number = ngettext(
        "one command of the last hour is in the slow log",
        "%(number)s commands of the last hour are in the slow log",
        len(recent),
    )
    slowest = _("slowest: %(command)s, %(time)s") % took
    evidence = (f"{slowest}, {wording.moment(worst.at, facts.now)}",)
    level: Level = "warn" if worst.microseconds >= SLOW_SECONDS * 1e6 else "info"
    mend = _("Find who sends it: one slow command holds up all others. Large keys are the usual cause.")
    yield Finding("slow-log", level, number % {"number": len(recent)}, evidence, mend, "large_keys")


@finder("server-hit-rate")
def server_hit_rate(facts: Facts) -> Iterator[Finding]:
    """Where the application counts nothing; else its own counts say which pattern it was."""
    *earlier, now = facts.stored.half_hours or (None,)
    known = sorted(rate for rate in earlier if rate is not None)
    recent = facts.history.recent if facts.history else None
    lookups = (recent.lookups or 0.0) * HOUR / 2 if recent else 0.0
    if now is None or len(known) < len(earlier) / 2 or lookups < LOOKUPS:
        return
    usual = known[len(known) // 2]
    if usual - now < DROPPED:
        return
    figures = {"now": wording.percent(now), "usual": wording.percent(usual)}
    text = _("hit rate of the server fell to %(now)s from %(usual)s") % figures
    hours = wording.duration(len(known) * HOUR / 2)
    evidence = (_("the last half hour, against the middle one of the %(time)s before") % {"time": hours},)
    mend = _("Ask what changed: a deploy, a flush, less memory.")
    level: Level = "bad" if now < FALLEN_TO <= usual else "warn"
    yield Finding("server-hit-rate", level, text, evidence, mend, "deploys")


def _whole(share: float) -> str:
    return f"{number_format(share * 100, decimal_pos=0)}\u00a0%"


def _memory(info: ServerInfo) -> str:
    figures = {"used": words.size(info.memory or 0), "limit": words.size(info.memory_limit or 0)}
    return _("%(used)s of %(limit)s") % figures


def _policy(info: ServerInfo) -> str:
    return _("policy %(policy)s") % {"policy": info.policy}

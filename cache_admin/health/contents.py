"""Findings from what fills the cache: values that stay for ever, sessions that may go, large ones, cliffs ahead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin import words
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.health import wording
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Level, code, finder
from cache_admin.health.servers import EVICTING, FILLING
from cache_admin.keyspace import estimates, forecast
from cache_admin.keyspace.report import ForeignStats, PatternStats

#: Keys of a pattern that never expire, surely more than half as many, and their share of the alias's memory: less is
#: no danger to anybody.
ENDLESS_KEYS, ENDLESS_SHARE = 100, 0.05
#: Families whose values are meant to stay.
_MEANT_TO_STAY = frozenset({"flag", "queue", "setting"})
RATIO = 2.0  #: how many times smaller a value must become for compression to be worth its time
#: What Django puts for the variables of a fragment that has none: the digest of nothing.
_NO_VARIABLES = b".d41d8cd98f00b204e9800998ecf8427e"
#: Words in a name that mostly stand for one person's data.
_PERSONAL = re.compile(rb"(?:^|[._:-])(?:my|me|user|profile|account|cart|basket|inbox)(?:$|[._:-])", re.IGNORECASE)


@finder("no-expiry")
def no_expiry(facts: Facts) -> Iterator[Finding]:
    report, left = facts.stored.report, facts.stored.leftovers
    info = facts.reading.primary.info if facts.reading else None
    if report is None or left is None:
        return
    all_of_it = (report.own_size if report.measured else report.own_keys).value
    for one in left.endless:
        share = (one.size if report.measured else one.keys).value / all_of_it if all_of_it else 0.0
        few = one.keys.value < ENDLESS_KEYS or one.keys.low < ENDLESS_KEYS / 2
        if few or share < ENDLESS_SHARE or one.stats.family in _MEANT_TO_STAY:
            continue
        figures = {"keys": wording.keys(one.keys), "pattern": one.stats.pattern, "policy": facts.policy}
        of_memory = {"size": wording.size(one.size), "share": wording.marked(share, exact=one.size.exact)}
        evidence = [_("%(size)s, %(share)s of the memory of this cache") % of_memory] if report.measured else []
        evidence.append(wording.looked(report))
        level, text = _endless(facts, info)
        mend = _("Write them with a timeout; let those that are there expire over an hour.")
        yield Finding(
            code("no-expiry", one.stats.pattern), level, text % figures, tuple(evidence), mend, "leftovers",
            one.stats.template,
        )  # fmt: skip


def _endless(facts: Facts, info: ServerInfo | None) -> tuple[Level, str]:
    """Level and text: how bad it is depends on what the server may throw away."""
    if facts.policy.startswith("volatile") and facts.limited:
        filling = info is not None and (info.memory_share or 0) >= FILLING
        return "bad" if filling else "warn", _("%(keys)s of %(pattern)s never expire, and %(policy)s cannot evict them")
    if facts.policy.startswith("allkeys") and facts.limited:
        return "info", _("%(keys)s of %(pattern)s never expire; only eviction removes them")
    return "warn", _("%(keys)s of %(pattern)s never expire, and nothing evicts them")


@finder("sessions")
def sessions(facts: Facts) -> Iterator[Finding]:
    """Sessions of the cache alone; those of ``cached_db`` are read from the database again."""
    report = facts.stored.report
    if report is None or not facts.limited or not facts.policy.startswith(("allkeys", "volatile")):
        return
    rows: list[PatternStats | ForeignStats] = [*report.patterns, *report.foreign]
    found = [row for row in rows if row.family == "session" and not _in_database(row.examples)]
    others = sum(row.keys.value for row in rows if row.family != "session")
    if not found or not others:
        return
    keys = estimates.total([row.keys for row in found])
    figures = {"keys": wording.keys(keys), "policy": facts.policy}
    evidence = [_("%(keys)s of sessions") % figures, _("policy %(policy)s") % figures]
    if facts.evictions >= EVICTING:
        evidence.append(_("evicting %(rate)s keys/s now") % {"rate": wording.rate(facts.evictions)})
    text = _("sessions stand beside other keys under an evicting policy: when memory is short, people are logged out")
    mend = _("Give sessions a server of their own that evicts nothing, or use the session engine cached_db.")
    level: Level = "bad" if facts.evictions >= EVICTING else "warn"
    yield Finding("sessions", level, text, tuple(evidence), mend, "patterns")


def _in_database(examples: tuple[bytes, ...]) -> bool:
    return all(b"sessions.cached_db" in example for example in examples)


@finder("shared-user-data")
def shared_user_data(facts: Facts) -> Iterator[Finding]:
    """Only names are looked at, so this is a question and never an alarm."""
    report = facts.stored.report
    for stats in report.patterns if report else ():
        names = [facts.adapter.codec.strip(raw) for raw in stats.examples]
        if stats.family == "fragment":
            shared = [name.removesuffix(_NO_VARIABLES) for name in names if name.endswith(_NO_VARIABLES)]
            named = [name for name in shared if _PERSONAL.search(name.removeprefix(b"template.cache."))]
            why = _("its fragment varies on nothing")
        elif not stats.family and stats.keys.exact and stats.keys.value == 1:
            named = [name for name in names if _PERSONAL.search(name) and not re.search(rb"\d", name)]
            why = _("there is one key of this name")
        else:
            continue
        if named:
            text = _("%(name)s may hold what belongs to one user, and all users share its key")
            name = stats.title or stats.pattern
            mend = _("If it does, vary it on the user: name user.pk in the cache tag, or put it into the key.")
            yield Finding(
                code("shared-user-data", stats.pattern), "info", text % {"name": name},
                (_("judged by its name alone; %(why)s") % {"why": why},), mend, "patterns", stats.template,
            )  # fmt: skip


@finder("large-values")
def large_values(facts: Facts) -> Iterator[Finding]:
    by_pattern: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for one in facts.tried:
        if one.ratio >= RATIO:
            by_pattern.setdefault(one.key.pattern, []).append(one.ratio)
            sizes[one.key.pattern] = max(sizes.get(one.key.pattern, 0), one.key.size)
    for pattern, ratios in by_pattern.items():
        figures = {"pattern": pattern, "size": words.size(sizes[pattern])}
        text = _("values of %(pattern)s are large and not compressed: up to %(size)s") % figures
        times = number_format(sum(ratios) / len(ratios), decimal_pos=1)
        tried = {"times": times, "number": len(ratios)}
        evidence = ngettext(
            "the beginning of one becomes %(times)s times smaller with zlib",
            "the beginnings of %(number)s become %(times)s times smaller with zlib",
            len(ratios),
        )
        mend = _("Set a COMPRESSOR in the options of this cache, or compress= on what writes them.")
        yield Finding(code("large-values", pattern), "info", text, (evidence % tried,), mend, "large_keys")


@finder("cliff")
def cliff(facts: Facts) -> Iterator[Finding]:
    report = facts.stored.report
    for one in forecast.of(report, facts.now).cliffs if report else ():
        subject = () if one.whole_alias else (one.stats.pattern,)
        evidence = (wording.looked(report),) if report else ()
        mend = _("Spread them: jitter= on what writes them, or expire them over an hour now.")
        yield Finding(
            code("cliff", *subject), "warn", one.sentence.removesuffix("."), evidence, mend, "forecast",
            one.stats.template,
        )  # fmt: skip

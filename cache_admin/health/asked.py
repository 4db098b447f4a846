"""Findings from what the application asked: hit rates that fell, stampedes, what is written for nobody, errors.

These need no server, so every kind of cache has them.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.health import wording
from cache_admin.health.counted import Counted
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Level, code, finder
from cache_admin.health.servers import EVICTING
from cache_admin.health.worth import Doubt, doubtful
from cache_admin.keyspace import estimates
from cache_admin.monitoring.usage import OTHER, Counts
from cache_admin.patterns import display

#: Look-ups of an hour, and of the day before, below which a hit rate is noise; and its least fall, 0 to 1.
LOOKUPS, LOOKUPS_BEFORE, FELL = 200, 1_000, 0.1
SPEAKS_FOR = 0.8  #: share of the misses from which on a pattern speaks for its alias
FALLEN_TO = 0.5  #: a cache that misses as often as it hits
#: Rebuilds done twice in an hour, and their share of all: a few are normal with any traffic.
DUPLICATES, DUPLICATE_SHARE = 20, 0.1
#: Misses before their time in an hour, and their share of all misses: below it, evictions cost little.
EARLY, EARLY_SHARE = 20, 0.05
HOURS = 3.0  #: of counts before this hour, below which there is nothing to compare with
#: Failed operations in an hour, and their share of all.
ERRORS, ERROR_SHARE = 5, 0.01
_ENDLESS = 1e15  #: population of look-ups, of which those counted are a sample


@finder("hit-rate")
def hit_rate(facts: Facts) -> Iterator[Finding]:
    counts = facts.stored.counts
    if counts.hours_before < HOURS:
        return
    whole = counts.whole
    fallen = [row for row in counts.patterns() if _fell(row[1], row[2], counts)]
    if _fell(*whole, counts) and not any(hour.misses >= SPEAKS_FOR * whole[0].misses for _name, hour, _then in fallen):
        fallen.insert(0, (b"", *whole))
    for template, hour, before in fallen:
        now, then = hour.hit_rate or 0.0, before.hit_rate or 0.0
        name = display(template) if template else ""
        figures = {"pattern": name, "now": wording.percent(now), "then": wording.percent(then)}
        of_one = _("hit rate of %(pattern)s fell to %(now)s from %(then)s")
        of_all = _("hit rate fell to %(now)s from %(then)s")
        looked = {"hour": _number(hour.lookups, counts), "before": _number(before.lookups, counts)}
        hours = {"time": wording.duration(counts.hours_before * 3_600)}
        evidence = (
            _("%(hour)s look-ups in the last hour") % looked,
            _("%(before)s in the %(time)s before") % {**looked, **hours},
        )
        text = (of_one if name else of_all) % figures
        level: Level = "bad" if now < FALLEN_TO <= then else "warn"
        mend = _("Compare with the last deploy; then look at its misses over time.")
        subject = (name,) if name else ()
        yield Finding(code("hit-rate", *subject), level, text, evidence, mend, "hit_rates", template)


@finder("early")
def early(facts: Facts) -> Iterator[Finding]:
    """Misses before their time, while the servers evict: else it was another process that deleted them."""
    counts = facts.stored.counts
    if facts.evictions < EVICTING:
        return
    for template, hour, _before in counts.patterns():
        if counts.seen(hour.early) < EARLY or hour.early < EARLY_SHARE * hour.misses:
            continue
        name = display(template)
        figures = {"number": _number(hour.early, counts), "misses": _number(hour.misses, counts)}
        evidence = (
            _("%(number)s of %(misses)s misses in the last hour were of keys that had not expired") % figures,
            _("the server evicts %(rate)s keys/s") % {"rate": wording.rate(facts.evictions)},
        )
        text = _("keys of %(pattern)s are evicted before their time") % {"pattern": name}
        mend = _("Give the cache more memory, or shorten the life of what is larger and less wanted.")
        yield Finding(code("early", name), "warn", text, evidence, mend, "patterns", template)


@finder("stampede")
def stampede(facts: Facts) -> Iterator[Finding]:
    counts = facts.stored.counts
    for template, hour, _before in counts.patterns():
        if counts.seen(hour.duplicates) < DUPLICATES or hour.duplicates < DUPLICATE_SHARE * hour.rebuilds:
            continue
        name = display(template)
        figures = {
            "number": _number(hour.duplicates, counts),
            "all": _number(hour.rebuilds, counts),
            "time": wording.duration(hour.duplicate_micros / 1e6),
        }
        evidence = (
            _("%(number)s of %(all)s rebuilds in the last hour were done by several callers at once") % figures,
            _("%(time)s computed in vain") % figures,
        )
        text = _("stampedes on %(pattern)s: the same value is computed several times at once") % {"pattern": name}
        mend = _("Compute it under a lock: cache_result(lock=True), or SmartCache.get_or_set_with_lock.")
        yield Finding(code("stampede", name), "warn", text, evidence, mend, "hit_rates", template)


@finder("write-only")
def write_only(facts: Facts) -> Iterator[Finding]:
    text = _("%(pattern)s is written, and never read by this site's processes")
    mend = _("Stop writing it if no other program reads it, or find out why its readers ask for another key.")
    return _doubtful(facts, "write_only", "write-only", text, mend)


@finder("read-once")
def read_once(facts: Facts) -> Iterator[Finding]:
    text = _("values of %(pattern)s are read less than once each by this site's processes")
    mend = _("A longer life, a broader key, or no cache at all: as it is, writing costs more than it saves.")
    return _doubtful(facts, "read_once", "read-once", text, mend)


def _doubtful(facts: Facts, doubt: Doubt, name: str, text: str, mend: str) -> Iterator[Finding]:
    for template, found in doubtful(facts.stored.counts).items():
        if found.doubt == doubt:
            pattern = display(template)
            sentence = text % {"pattern": pattern}
            yield Finding(code(name, pattern), found.level, sentence, found.evidence, mend, "hit_rates", template)


@finder("errors")
def errors(facts: Facts) -> Iterator[Finding]:
    counts = facts.stored.counts
    hour, _before = counts.whole
    tried = hour.operations + hour.errors
    if counts.seen(hour.errors) < ERRORS or hour.errors < ERROR_SHARE * tried:
        return
    by_pattern = sorted(counts.hour.items(), key=lambda item: -item[1].errors)
    names = [display(template) for template, one in by_pattern if one.errors and template != OTHER]
    figures = {"number": _number(hour.errors, counts), "share": wording.percent(hour.errors / tried)}
    evidence = [_("%(number)s in the last hour, %(share)s of all") % figures]
    if names:
        evidence.append(_("most of them with %(patterns)s") % {"patterns": words.some(names)})
    mend = _("Read the log of the application: the cache raised these errors into it.")
    yield Finding("errors", "bad", _("cache operations of the application fail"), tuple(evidence), mend, "hit_rates")


def _number(value: float, counts: Counted) -> str:
    return wording.counted(value, counts.share)


def _fell(hour: Counts, before: Counts, counts: Counted) -> bool:
    if counts.seen(hour.lookups) < LOOKUPS or counts.seen(before.lookups) < LOOKUPS_BEFORE:
        return False
    fall = (before.hit_rate or 0.0) - (hour.hit_rate or 0.0)
    return fall >= FELL and _high(hour, counts) < _low(before, counts)


def _low(one: Counts, counts: Counted) -> float:
    return estimates.share(round(counts.seen(one.hits)), round(counts.seen(one.lookups)), _ENDLESS).low


def _high(one: Counts, counts: Counted) -> float:
    return estimates.share(round(counts.seen(one.hits)), round(counts.seen(one.lookups)), _ENDLESS).high

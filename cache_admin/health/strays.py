"""Findings about what nobody will come for, and what nobody can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.health import wording
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Level, code, finder
from cache_admin.keyspace.leftovers import Strangers
from cache_admin.keyspace.report import Report
from cache_admin.keyspace.unreadable import PatternValues, ValuesReport
from cache_admin.monitoring.usage import OTHER
from cache_admin.operations import values
from cache_admin.patterns import within

#: Keys of a foreign owner below which nobody cares, and their share of the database's memory that is a waste of it.
STRAY_KEYS, STRAY_SHARE = 100, 0.05
#: A pattern that nobody asked for in so many hours, of so large a share of the alias's memory.
UNASKED_HOURS, UNASKED_SHARE = 20.0, 0.02
#: Values of a pattern that cannot be read, and their share: a few may be of a release that is being rolled out.
UNREADABLE, UNREADABLE_SHARE, MOSTLY = 3, 0.1, 0.5
LOOK_SECONDS = 7 * 86_400.0  #: age beyond which a look at values says nothing of now


@finder("old-version")
def old_version(facts: Facts) -> Iterator[Finding]:
    report, left = facts.stored.report, facts.stored.leftovers
    for one in left.versions if left else ():
        if report and one.keys.value >= STRAY_KEYS:
            figures = {"keys": wording.keys(one.keys), "owner": one.owner}
            text = _("%(keys)s are left of %(owner)s, and no cache reads them") % figures
            mend = _("Let them expire, or delete them through an alias of that version.")
            level: Level = "warn" if _share(one, report) >= STRAY_SHARE else "info"
            about = (one.alias or facts.alias, str(one.version))
            yield Finding(code("old-version", *about), level, text, _evidence(one, report), mend, "leftovers")


@finder("no-owner")
def no_owner(facts: Facts) -> Iterator[Finding]:
    """Keys of prefixes that nothing known has; and patterns of its own of no known writer that nobody asked for."""
    report, left, counts = facts.stored.report, facts.stored.leftovers, facts.stored.counts
    for one in left.unknown if left else ():
        if report and one.keys.value >= STRAY_KEYS:
            patterns = words.some([stats.pattern for stats in one.patterns])
            text = _("%(keys)s belong to no cache and no program that is known") % {"keys": wording.keys(one.keys)}
            evidence = (*_evidence(one, report), patterns)
            mend = _("Find out whose they are: another application, or a prefix of before.")
            level: Level = "warn" if _share(one, report) >= STRAY_SHARE else "info"
            yield Finding("no-owner", level, text, evidence, mend, "leftovers")
    if not (left and report) or counts.hours_before < UNASKED_HOURS:
        return
    asked = [template for template, _hour, _day in counts.patterns()]
    if OTHER in counts.hour or OTHER in counts.before:  # it may be among those
        return
    for stats in left.nobody:
        share = stats.size_share if report.measured else stats.keys_share
        if stats.template and share.low >= UNASKED_SHARE and not _met(stats.template, asked):
            text = _("nobody asks for %(pattern)s, and nothing known writes it") % {"pattern": stats.pattern}
            hours = wording.duration((counts.hours_before + 1) * 3_600)
            evidence = (
                _("%(keys)s, %(size)s") % {"keys": wording.keys(stats.keys), "size": wording.size(stats.size)},
                _("no operation in the last %(time)s") % {"time": hours},
            )
            mend = _("If it is of before, invalidate it.")
            yield Finding(code("no-owner", stats.pattern), "info", text, evidence, mend, "invalidate", stats.template)


def _met(template: bytes, asked: Sequence[bytes]) -> bool:
    """Whether a pattern was asked for, also by parts that it folds, or as a part of a wider one."""
    return any(within(one, template) or within(template, one) for one in asked)


@finder("unreadable")
def unreadable(facts: Facts) -> Iterator[Finding]:
    look = facts.stored.look
    if look is None or facts.now - look.started > LOOK_SECONDS:
        return
    for one in look.patterns:
        if one.unreadable < UNREADABLE or one.share < UNREADABLE_SHARE:
            continue
        figures = {"number": one.unreadable, "looked": one.looked_at, "pattern": one.pattern}
        text = _("values of %(pattern)s cannot be read any more") % figures
        evidence = (_("%(number)d of the %(looked)d values looked at") % figures, *_why(look, one), _when(look, facts))
        mend = _("Invalidate them, or bring back what they need; each costs an error or a miss.")
        level: Level = "bad" if one.share >= MOSTLY else "warn"
        yield Finding(code("unreadable", one.pattern), level, text, evidence, mend, "leftovers", one.template)


@finder("armed")
def armed(facts: Facts) -> Iterator[Finding]:
    """Values that would call what no cached value has a reason to call."""
    look = facts.stored.look
    for one in look.patterns if look and facts.now - look.started <= LOOK_SECONDS else ():
        calls = [trouble for trouble in one.troubles if trouble.code == "calls"]
        if look and calls:
            text = _("a value of %(pattern)s would run a command when it is read") % {"pattern": one.pattern}
            evidence = (values.sentence_of(look, calls[0]), _when(look, facts))
            mend = _("Delete it, and find out who can write to this server: loading a pickle runs what it names.")
            yield Finding(code("armed", one.pattern), "bad", text, evidence, mend, "leftovers", one.template)


def _why(look: ValuesReport, one: PatternValues) -> tuple[str, ...]:
    fatal = [trouble for trouble in one.troubles if trouble.fatal]
    return (values.sentence_of(look, fatal[0]),) if fatal else ()


def _when(look: ValuesReport, facts: Facts) -> str:
    return _("looked at %(moment)s") % {"moment": wording.moment(look.started, facts.now)}


def _share(one: Strangers, report: Report) -> float:
    """Of the memory of all keys of the database, or of their number where memory is not measured."""
    if not report.measured:
        return one.keys.value / report.total if report.total else 0.0
    whole = report.own_size.value + sum(stats.size.value for stats in report.foreign)
    return one.size.value / whole if whole else 0.0


def _evidence(one: Strangers, report: Report) -> tuple[str, ...]:
    share = wording.marked(_share(one, report), exact=report.complete)
    if not report.measured:
        return (_("%(share)s of the keys of its database") % {"share": share}, wording.looked(report))
    of_memory = {"size": wording.size(one.size), "share": share}
    return (_("%(size)s, %(share)s of the memory of its database") % of_memory, wording.looked(report))

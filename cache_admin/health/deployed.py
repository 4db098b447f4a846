"""Findings about what the last deploy did, of a day at most; each is a verdict of the page Deploys."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.health import wording
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Level, code, finder

_LEVELS: dict[str, Level] = {"bad": "bad", "warn": "warn"}


@finder("deploy")
def deploy(facts: Facts) -> Iterator[Finding]:
    last, compared = facts.deploy, facts.compared
    if last is None or compared is None:
        return
    for row in compared.rows:
        verdicts = [verdict for verdict in row.verdicts if verdict.grade in _LEVELS]
        if not verdicts:
            continue
        figures = {"label": last.label, "pattern": row.pattern, "verdict": verdicts[0].text}
        text = _("%(pattern)s: %(verdict)s, since the deploy %(label)s") % figures
        looked = {
            "before": words.number(row.before.counts.lookups),
            "after": words.number(row.after.counts.lookups),
            "time": wording.duration(compared.window.seconds),
        }
        evidence = [_("deployed %(moment)s") % {"moment": wording.moment(last.at, facts.now)}]
        if compared.window.points:
            evidence.append(_("look-ups in %(time)s before and after: %(before)s and %(after)s") % looked)
        evidence += [verdict.text for verdict in verdicts[1:]]
        mend = _("Look at what the deploy changed about it.")
        level = _LEVELS[verdicts[0].grade]
        about = (verdicts[0].kind, row.pattern)
        yield Finding(code("deploy", *about), level, text, tuple(evidence), mend, "deploys", row.template)

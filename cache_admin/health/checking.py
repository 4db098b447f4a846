"""The health of one alias: what is found, less what is muted."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin.adapters.base import Adapter
from cache_admin.health import answers, asked, blind, contents, deployed, facts, looking, muting, servers, strays
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Verdict, found_in, verdict
from cache_admin.models import MutedFinding
from cache_admin.monitoring.history import History
from cache_admin.monitoring.sampler import Reading

__all__ = ["Health", "check", "glance"]

#: The modules whose import registers the finders, in the order in which findings of one level stand.
MODULES = (answers, servers, deployed, asked, strays, contents, blind)
#: Findings of one kind that are listed: the largest; a hundred patterns without expiry are one mistake.
MOST_OF_A_KIND = 5


@dataclass(frozen=True, slots=True)
class Muted:
    """What somebody muted; ``finding`` is what it says now, or ``None`` where it is not found at present."""

    row: MutedFinding
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class Health:
    """``findings`` are those that are not muted, worst first."""

    alias: str
    at: float  #: Unix time
    findings: tuple[Finding, ...]
    muted: tuple[Muted, ...] = ()
    more: int = 0  #: findings beyond ``MOST_OF_A_KIND``
    notes: tuple[str, ...] = ()  #: what could not be looked at, in sentences

    @property
    def verdict(self) -> Verdict:
        """The worst in one sentence."""
        found = verdict(self.findings)
        hidden = sum(1 for one in self.muted if one.finding and one.finding.level != "info")
        if found.level == "good" and hidden:
            words = ngettext("healthy, but for one muted finding", "healthy, but for %(number)d muted findings", hidden)
            return Verdict("good", words % {"number": hidden})
        return found

    @property
    def slow(self) -> Finding | None:
        """That a server answers late, where the verdict is another one."""
        verdict = self.verdict.text
        return next((one for one in self.findings if one.kind == "slow" and one.text != verdict), None)

    @property
    def sentence(self) -> str:
        """How many of what: "1 thing is wrong, 3 need a look"."""
        levels = Counter(finding.level for finding in self.findings)
        bad, warn = levels["bad"], levels["warn"]
        if not bad and not warn:
            return _("Healthy: nothing is wrong that can be seen from here.")
        wrong = ngettext("One thing is wrong", "%(number)d things are wrong", bad) % {"number": bad}
        look = ngettext("one needs a look", "%(number)d need a look", warn) % {"number": warn}
        if bad and warn:
            return f"{wrong}, {look}."
        if bad:
            return f"{wrong}."
        return ngettext("One thing needs a look.", "%(number)d things need a look.", warn) % {"number": warn}


def glance(adapter: Adapter, reading: Reading | None = None, history: History | None = None) -> Health:
    """The health as far as it is known without a further question, see ``facts.py``.

    Raises what reading the server raises.
    """
    return _health(facts.glance(adapter, reading, history))


def check(adapter: Adapter) -> Health:
    """The health after a whole look. A silent server is a finding, never an error."""
    return _health(looking.look(adapter))


def _health(known: Facts) -> Health:
    rows = muting.muted(known.alias)
    found = {finding.code: finding for finding in found_in(known)}
    notes = known.notes
    if rows is None:
        rows, notes = {}, (*notes, _("Which findings are muted is not known: the database does not tell."))
    listed: list[Finding] = []
    kinds: Counter[str] = Counter()
    for code, finding in found.items():
        if code not in rows:
            kinds[finding.kind] += 1
            if kinds[finding.kind] <= MOST_OF_A_KIND:
                listed.append(finding)
    more = sum(number - MOST_OF_A_KIND for number in kinds.values() if number > MOST_OF_A_KIND)
    muted = tuple(Muted(row, found.get(code)) for code, row in rows.items())
    return Health(known.alias, time.time(), tuple(listed), muted, more, notes)

"""Findings about what cannot be found, because nobody counts or nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, finder
from cache_admin.monitoring import rates


@finder("recording-off")
def recording_off(facts: Facts) -> Iterator[Finding]:
    if why := rates.not_counted(facts.alias):
        text = _("the operations of this cache are not counted")
        evidence = (_("no hit rates per pattern, stampedes, early evictions or errors of it are known"),)
        yield Finding("recording-off", "info", text, evidence, why)
    elif facts.stored.counts.note:
        mend = _("Run manage.py migrate, or look at the load of the database.")
        text = _("what the application counted cannot be read")
        yield Finding("recording-off", "info", text, (facts.stored.counts.note,), mend)


@finder("history-off")
def history_off(facts: Facts) -> Iterator[Finding]:
    note = (facts.history.note if facts.history else "") or (facts.reading.history_off if facts.reading else "")
    if note:
        mend = _("Run manage.py migrate, or look at the load of the database.")
        yield Finding("history-off", "info", _("the history of the servers is not kept"), (note,), mend)

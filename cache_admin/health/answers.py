"""Whether servers answer in time.

The time is that of the last reading: from its question to its answer, as the process that asked saw it.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from cache_admin.adapters.server_info import ServerInfo
from cache_admin.health import wording
from cache_admin.health.facts import Facts
from cache_admin.health.finding import Finding, Level, node_finder
from cache_admin.monitoring.sampler import NodeReading

#: Seconds that an answer to the dashboard takes, its way included, from which on it is worth a word; and from which on
#: visitors wait too. In between it may as well be this process that is busy.
SLOW_ANSWER, LATE_ANSWER = 0.25, 1.0


@node_finder("slow")
def slow(facts: Facts, node: NodeReading, info: ServerInfo) -> Iterator[Finding]:
    took = info.answered_in
    if took is None or took < SLOW_ANSWER:
        return
    level: Level = "warn" if took >= LATE_ANSWER else "info"
    text = _("answers slowly: %(time)s") % {"time": wording.duration(took)}
    asked = _("the last command of this dashboard (INFO) %(moment)s") % {"moment": wording.moment(info.at, facts.now)}
    mend = _("Look at its slow log and its load, and at the network. Scans ask it for less at once meanwhile.")
    yield Finding("slow", level, text, (asked,), mend)

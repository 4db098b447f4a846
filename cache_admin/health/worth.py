"""Whether a pattern is worth being cached, from what this site's processes asked of it in the last day: one rule, and
its words, for the findings and for the page Hit rates. Pure.

Sets and hits of the whole day are compared, not those of short stretches: a value is mostly read in other minutes than
the one in which it was written, so a median over minutes would blame what a warmer fills once an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.health import wording
from cache_admin.health.counted import Counted
from cache_admin.health.finding import Level
from cache_admin.keyspace import catalogue
from cache_admin.keyspace.coverage import typical
from cache_admin.monitoring.usage import Counts, total

#: Hours of counts before this one, and sets really counted, below which nothing is said: after a flush all is written
#: and little read yet.
HOURS, SETS = 3.0, 200
#: Hits for each set below which writing costs more than it saves.
HARDLY = 1.0
#: Families whose point is to be written and not read.
_UNREAD = frozenset({"lock", "queue", "throttle"})

Doubt = Literal["write_only", "read_once"]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A pattern of which less was found than stored."""

    doubt: Doubt
    evidence: tuple[str, ...]  #: figures of the last day

    @property
    def level(self) -> Level:
        return "warn" if self.doubt == "write_only" else "info"

    @property
    def short(self) -> str:
        """As a mark beside the name of the pattern."""
        return _("written, never read") if self.doubt == "write_only" else _("read less than once each")

    @property
    def sentence(self) -> str:
        """What is doubtful and by whose word: programs outside of this site may well read it."""
        if self.doubt == "write_only":
            return _("Written, and never read by this site's processes")
        return _("Values are read less than once each by this site's processes")


def doubtful(counts: Counted) -> dict[bytes, Doubtful]:
    """The patterns that are hardly read or not at all, by template."""
    if counts.hours_before < HOURS:
        return {}
    found = {}
    for template, hour, before in counts.patterns():
        sets, hits = hour.sets + before.sets, hour.hits + before.hits
        if counts.seen(sets) < SETS or hits >= HARDLY * sets:
            continue
        family = catalogue.family(typical(template))
        if not (family and family.name in _UNREAD):
            doubt: Doubt = "read_once" if hits else "write_only"
            found[template] = Doubtful(doubt, _evidence(counts, total((hour, before))))
    return found


def _evidence(counts: Counted, day: Counts) -> tuple[str, ...]:
    figures = {
        "sets": wording.counted(day.sets, counts.share),
        "hits": wording.counted(day.hits, counts.share),
        "time": wording.duration((counts.hours_before + 1) * 3_600),
    }
    found = [_("%(sets)s sets and %(hits)s hits in the last %(time)s") % figures]
    if day.written:
        found.append(_("%(size)s each, on average") % {"size": words.size(day.written)})
    return tuple(found)

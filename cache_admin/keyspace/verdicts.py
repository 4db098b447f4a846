"""What can be said of one pattern around a deploy, and what it is said from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin.keyspace.holdings import Holding
from cache_admin.monitoring.usage import Counts
from cache_admin.words import number

#: Kinds of verdict, worst first, with their grade.
GRADES: dict[str, str] = {
    "errors": "bad",
    "hit_rate": "bad",
    "unwritten": "bad",
    "endless": "bad",
    "new_endless": "bad",
    "slower": "bad",
    "vanished": "warn",
    "grew": "warn",
    "sooner": "warn",
    "new": "note",
    "shrank": "note",
    "faster": "good",
    "better": "good",
}
ORDER = {kind: place for place, kind in enumerate(GRADES)}
#: Of a pattern that was there and still is.
WORSE = frozenset({"errors", "hit_rate", "unwritten", "endless", "slower", "sooner"})


@dataclass(frozen=True, slots=True)
class Side:
    """One pattern before or after."""

    counts: Counts = field(default_factory=Counts)
    holding: Holding | None = None

    @property
    def used(self) -> int:
        """All operations but deletes: what is no longer used may still be made stale."""
        return self.counts.operations - self.counts.deletes


@dataclass(frozen=True, slots=True)
class Basis:
    """What both sides stand on. ``unseen`` is how many keys a pattern may have that the look did not meet; infinite
    where nobody looked."""

    unseen_before: float = float("inf")
    unseen_after: float = float("inf")
    traffic: float | None = None  #: operations after for each one before; ``None`` where one side has none
    began: bool = False  #: nothing was counted before and something after, so the site or its counting began then
    share: float = 1.0  #: of all operations that was counted
    fresh: bool = False  #: the alias has another prefix or version, so it began empty
    measured: bool = True  #: bytes are known on both sides

    def expected(self, before: float) -> float:
        """What there would have been after, had nothing changed, in numbers that were really counted."""
        return 0.0 if self.traffic is None else before * self.traffic * self.share


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` in a few words; ``impact`` orders verdicts of one kind."""

    kind: str
    text: str
    impact: float = 0.0

    @property
    def grade(self) -> str:
        """ "bad", "warn", "note" or "good"."""
        return GRADES[self.kind]


def in_words(found: Mapping[str, int]) -> str:
    """A :func:`~.compared.tally` in words: "3 patterns worse, 1 vanished, 1 new and never expires"."""
    worse, grew, vanished, endless, new, better = (found.get(name, 0) for name in _TOLD)
    parts = []
    if worse:
        parts.append(ngettext("%(number)d pattern worse", "%(number)d patterns worse", worse) % {"number": worse})
    if grew:
        parts.append(ngettext("%(number)d grew", "%(number)d grew", grew) % {"number": grew})
    if vanished:
        parts.append(ngettext("%(number)d vanished", "%(number)d vanished", vanished) % {"number": vanished})
    if endless:
        words = ngettext("%(number)d new and never expires", "%(number)d new and never expire", endless)
        parts.append(words % {"number": endless})
    if left := found.get("left"):
        words = ngettext("%(keys)s key left behind", "%(keys)s keys left behind", left)
        parts.append(words % {"keys": number(left, exact=not found.get("left_about"))})
    if not parts:
        parts.append(_("no pattern is worse"))
    if new:
        parts.append(ngettext("%(number)d new", "%(number)d new", new) % {"number": new})
    if better:
        parts.append(ngettext("%(number)d better", "%(number)d better", better) % {"number": better})
    return ", ".join(parts)


def grade_of(found: Mapping[str, int]) -> str:
    """ "bad", "warn" or "good": the worst that a tally tells."""
    if found.get("worse") or found.get("new_endless"):
        return "bad"
    return "warn" if any(found.get(name) for name in ("grew", "vanished", "left")) else "good"


_TOLD = ("worse", "grew", "vanished", "new_endless", "new", "better")

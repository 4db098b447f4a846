"""Hit rates that must not be undercut, for a pipeline: "product:*=0.7"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _

from cache_admin.exceptions import InvalidPattern
from cache_admin.keys import compile_glob, normalise_glob
from cache_admin.keyspace.coverage import typical
from cache_admin.monitoring.usage import OTHER, Counts
from cache_admin.patterns import display

#: Look-ups below which a hit rate is not judged, unless the caller says otherwise.
LOOKUPS = 50


@dataclass(frozen=True, slots=True)
class Limit:
    """``least`` is a hit rate, 0 to 1."""

    pattern: str
    least: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one limit in one alias; ``alias`` is "" where no alias knows the pattern."""

    limit: Limit
    alias: str
    lookups: int
    hit_rate: float | None
    state: Literal["held", "under", "too few"]


def parse(text: str) -> Limit:
    """The limit that a text like ``product:*=0.7`` or ``product:*=70%`` gives. Raises :class:`InvalidPattern`."""
    pattern, equals, number = text.rpartition("=")
    try:
        least = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        least = -1.0
    if not (equals and pattern and 0 <= least <= 1):
        words = _("%(text)s is no limit. Write a pattern and its least hit rate, 0 to 1: 'product:*=0.7'.")
        raise InvalidPattern(words % {"text": repr(text)})
    normalise_glob(pattern)
    return Limit(pattern, least)


def judge(
    limits: Iterable[Limit], counts: Mapping[str, Mapping[bytes, Counts]], *, share: float, lookups: int = LOOKUPS
) -> list[Outcome]:
    """What became of each limit in each alias that has its pattern. ``counts`` are by alias and template, of which a
    ``share`` was really counted."""
    found = []
    for limit in limits:
        known = [(alias, total) for alias, by_pattern in counts.items() if (total := _of(limit.pattern, by_pattern))]
        for alias, total in known or [("", Counts())]:
            rate = total.hit_rate
            few = rate is None or total.lookups * share < lookups
            state: Literal["held", "under", "too few"] = "held"
            if few:
                state = "too few"
            elif rate is not None and rate < limit.least:
                state = "under"
            found.append(Outcome(limit, alias, total.lookups, rate, state))
    return found


def _of(pattern: str, counts: Mapping[bytes, Counts]) -> Counts | None:
    """The counts of the pattern that the pages show by this name, else of all that it matches as a glob of keys."""
    names = [template for template in counts if template != OTHER]
    chosen = [template for template in names if display(template) == pattern]
    if not chosen:
        match = compile_glob(normalise_glob(pattern).encode("utf-8", "surrogateescape"))
        chosen = [template for template in names if match(typical(template))]
    if not chosen:
        return None
    total = Counts()
    for template in chosen:
        total.add(counts[template])
    return total

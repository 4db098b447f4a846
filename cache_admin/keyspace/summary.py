"""Tallies -> a :class:`Report`: the estimates, the families, the order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from django.utils.translation import gettext as _

from cache_admin.adapters.base import Adapter
from cache_admin.keys import show
from cache_admin.keyspace import catalogue, estimates
from cache_admin.keyspace.estimates import TOPS, Weight
from cache_admin.keyspace.groups import Group
from cache_admin.keyspace.largest import Largest
from cache_admin.keyspace.owners import Owner
from cache_admin.keyspace.report import TTL_BUCKETS, Estimate, ForeignStats, LargeKey, PatternStats, Report
from cache_admin.keyspace.tally import Tally
from cache_admin.patterns import display, varies

#: What Django's default key function puts before a user key, for a look at the names of caches that are not configured.
_SOME_HEAD = re.compile(rb"[^:]{0,64}:\d{1,9}:")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a census counted; fields as in :class:`Report`."""

    adapter: Adapter
    started: float
    seconds: float
    complete: bool
    scanned: int
    total: int
    measured: bool
    own: Group
    foreign: Mapping[Owner, Group]
    largest: Largest
    notes: tuple[str, ...]

    @property
    def population(self) -> int:
        """Keys that the ones looked at stand for; never as few as those unless the scan is complete."""
        return self.scanned if self.complete else max(self.total, self.scanned + 1)


def summarise(findings: Findings) -> Report:
    """The report of what was counted."""
    own = _Own(findings)
    patterns = [own.stats(tally, display(template), template) for template, tally in own.patterns]
    other = findings.own.other
    names = {id(tally): stats for (_template, tally), stats in zip(own.patterns, patterns, strict=True)}
    notes = findings.notes
    if not findings.complete and not findings.total:
        notes += (_("How many keys there are in all is not known; the figures count only those looked at."),)
    if not findings.measured:
        notes += (_("The memory of keys may not be read: bytes are not counted (not permitted: +memory|usage)."),)
    return Report(
        alias=findings.adapter.alias,
        started=findings.started,
        seconds=findings.seconds,
        complete=findings.complete,
        scanned=findings.scanned,
        total=findings.total,
        own_keys=own.keys,
        own_size=own.size,
        patterns=tuple(sorted(patterns, key=lambda stats: (-stats.size.value, -stats.keys.value, stats.pattern))),
        other=own.stats(other, _("other"), b"") if other.keys else None,
        foreign=tuple(sorted(_foreign(findings), key=lambda stats: -stats.size.value)),
        large_keys=tuple(
            _large(findings, names.get(id(findings.largest.tallies[key].end)), key, size)
            for size, key in findings.largest.ranking
        ),
        measured=findings.measured,
        notes=notes,
    )


class _Own:
    """The alias's own keys as a whole, against which each pattern is weighed."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.patterns = findings.own.patterns
        tallies = [tally for _template, tally in self.patterns] + [findings.own.other]
        self.weight = Weight(
            keys=sum(tally.keys for tally in tallies),
            size=sum(tally.size for tally in tallies),
            squares=float(sum(tally.squares for tally in tallies)),
            tops=(),
        )
        # Enough of the largest that the largest of all patterns but one are among them.
        tops = ((top, id(tally)) for tally in tallies for top in tally.tops)
        self._tops = nlargest(2 * TOPS, tops)
        self.weight = self._weigh(0)
        self.keys = estimates.count(self.weight.keys, findings.scanned, findings.population)
        self.size = estimates.size(self.weight, findings.scanned, findings.population)

    def _weigh(self, but: int) -> Weight:
        tops = [top for top, tally in self._tops if tally != but][:TOPS]
        return Weight(self.weight.keys, self.weight.size, self.weight.squares, tops)

    def _rest(self, tally: Tally) -> Weight:
        all_but = self._weigh(id(tally))
        own = self.weight
        return Weight(own.keys - tally.keys, own.size - tally.size, own.squares - tally.squares, all_but.tops)

    def stats(self, tally: Tally, pattern: str, template: bytes) -> PatternStats:
        keys, size, keys_share, size_share = self._figures(tally, template)
        probed = tally.probed
        strip = self._findings.adapter.codec.strip
        examples = [strip(raw) for raw in tally.examples]
        family, title = _family(examples) if template or pattern == "" else ("", "")
        return PatternStats(
            pattern=pattern,
            template=template,
            family=family,
            title=title,
            keys=keys,
            size=size,
            keys_share=keys_share,
            size_share=size_share,
            mean=tally.size / tally.keys,
            largest=max(tally.largest, 0),
            largest_key=tally.largest_key,
            no_expiry=estimates.share(tally.never, probed, keys.value),
            ttl_buckets=tuple(part / probed for part in tally.buckets) if probed else (0.0,) * TTL_BUCKETS,
            types=tuple((name, part / tally.types.total()) for name, part in tally.types.most_common()),
            examples=tuple(tally.examples),
            protected=any(map(catalogue.protected, examples)),
            probed=probed,
            soon=tuple(sorted(tally.soon.items())),
        )

    def _figures(self, tally: Tally, template: bytes) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        """Keys, bytes, and the shares of both."""
        n, total = self._findings.scanned, self._findings.population
        keys, size = _count(self._findings, tally, template)
        if size.exact and not self._findings.complete:
            keys_share = estimates.known_share(keys.value, self.keys)
            return keys, size, keys_share, estimates.known_share(size.value, self.size)
        owned = total * self.weight.keys / n if n else 0.0
        keys_share = estimates.share(tally.keys, self.weight.keys, owned)
        return keys, size, keys_share, estimates.size_share(tally.weight, self._rest(tally), n, total)


def _count(findings: Findings, tally: Tally, template: bytes) -> tuple[Estimate, Estimate]:
    """Keys and bytes of a pattern. One in which nothing varies is a single key, so whoever met it knows all of it."""
    if template and not findings.complete and not varies(template):
        return Estimate.of(1), Estimate.of(max(tally.largest, 0))
    n, total = findings.scanned, findings.population
    return estimates.count(tally.keys, n, total), estimates.size(tally.weight, n, total)


def _family(names: Sequence[bytes]) -> tuple[str, str]:
    """Name and title of the family that all examples are of, else nothing."""
    families = {catalogue.family(name) for name in names}
    family = families.pop() if len(families) == 1 else None
    if family is None:
        return "", ""
    titles = {catalogue.title(name) for name in names}
    return family.name, titles.pop() if len(titles) == 1 else str(family.title)


def _foreign(findings: Findings) -> Iterator[ForeignStats]:
    for owner, group in findings.foreign.items():
        head = show(owner.head).replace("*", "\\*")
        rows = [(head + display(template), template, tally) for template, tally in group.patterns]
        if group.other.keys:
            rows.append((_("other"), b"", group.other))
        for pattern, template, tally in rows:
            names = [_without_head(owner, raw) for raw in tally.examples]
            families = {catalogue.family(name) for name in names}
            family = families.pop() if len(families) == 1 else None
            program = family.owner if family and not owner.label else ""
            keys, size = _count(findings, tally, template)
            yield ForeignStats(
                pattern=pattern,
                owner=owner.label or program or _("unknown"),
                family=family.name if family else "",
                keys=keys,
                size=size,
                examples=tuple(tally.examples),
                alias=owner.alias,
                program=program,
                version=owner.version,
            )


def _without_head(owner: Owner, raw: bytes) -> bytes:
    if owner.label or catalogue.family(raw):
        return owner.strip(raw)
    return _SOME_HEAD.sub(b"", raw, count=1)


def _large(findings: Findings, stats: PatternStats | None, key: bytes, size: int) -> LargeKey:
    probe = findings.largest.probes.get(key)
    user_key = findings.adapter.codec.strip(key)
    family = catalogue.family(user_key)
    return LargeKey(
        key=key,
        size=size,
        pattern=stats.pattern if stats else _("other"),
        family=family.name if family else "",
        type=probe.type if probe else "",
        ttl=probe.ttl if probe else None,
        expires=None if probe is None else probe.ttl is not None,
    )

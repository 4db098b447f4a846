"""What nobody will come for: keys of other versions and unknown prefixes, of no known writer, and without expiry.

Pure: told from a report, and from what the caching library and the catalogue of well-known keys know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import Formatter

from cache_admin.caching.fragments import PART_KINDS
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.owners import owners
from cache_admin.caching.tags import FAMILY as TAGS
from cache_admin.keys import KeyCodec, compile_glob, escape_glob
from cache_admin.keyspace import estimates
from cache_admin.keyspace.coverage import typical
from cache_admin.keyspace.report import Estimate, ForeignStats, PatternStats, Report

#: Keys that the library writes without registering an owner: stamps of tags, notes of warmers, kept parts of pages.
_LIBRARY = (
    *(f"{TAGS}:*", "cache_warm:*"),
    *(f"{start}{kind}:*" for kind in PART_KINDS for start in ("", "user:*:")),
)


@dataclass(frozen=True, slots=True)
class Strangers:
    """Keys of one owner that are not the alias's at its version. ``alias`` and ``version`` as in ``ForeignStats``."""

    owner: str
    alias: str
    version: int | None
    keys: Estimate
    size: Estimate  #: bytes
    patterns: tuple[ForeignStats, ...]  #: largest first


@dataclass(frozen=True, slots=True)
class Endless:
    """A pattern with keys that never expire."""

    stats: PatternStats
    keys: Estimate  #: of them
    size: Estimate  #: their bytes, taking them for as large as the others of the pattern


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What may be dead weight in the database of one alias; each part by bytes, largest first."""

    versions: tuple[Strangers, ...]  #: keys of versions that no alias has any more
    unknown: tuple[Strangers, ...]  #: keys of prefixes that no alias has
    named: tuple[Strangers, ...]  #: no leftovers: keys of other aliases and of programs
    nobody: tuple[PatternStats, ...]  #: own patterns that nothing known writes
    endless: tuple[Endless, ...]  #: own patterns with keys that never expire


def of(report: Report, codec: KeyCodec) -> Leftovers:
    """The leftovers that a report tells of. ``codec`` is that of its alias."""
    strangers = _strangers(report)
    known = _known(report.alias)
    nobody = (
        stats
        for stats in report.patterns
        if not stats.family and not known([typical(stats.template), *map(codec.strip, stats.examples)])
    )
    endless = [_endless(stats) for stats in report.patterns if stats.no_expiry.value and not stats.no_expiry.unknown]
    return Leftovers(
        versions=tuple(one for one in strangers if one.version is not None),
        unknown=tuple(one for one in strangers if one.version is None and not _is_named(one)),
        named=tuple(one for one in strangers if one.version is None and _is_named(one)),
        nobody=tuple(nobody),
        endless=tuple(sorted(endless, key=lambda one: (-one.size.value, -one.keys.value, one.stats.pattern))),
    )


def _is_named(one: Strangers) -> bool:
    return bool(one.alias) or any(stats.program for stats in one.patterns)


def _strangers(report: Report) -> list[Strangers]:
    by_owner: dict[str, list[ForeignStats]] = {}
    for stats in report.foreign:
        by_owner.setdefault(stats.owner, []).append(stats)
    found = [
        Strangers(
            owner=owner,
            alias=rows[0].alias,
            version=rows[0].version,
            keys=estimates.total([row.keys for row in rows]),
            size=estimates.total([row.size for row in rows]),
            patterns=tuple(rows),
        )
        for owner, rows in by_owner.items()
    ]
    return sorted(found, key=lambda one: (-one.size.value, -one.keys.value, one.owner))


def _endless(stats: PatternStats) -> Endless:
    return Endless(stats, _times(stats.keys, stats.no_expiry), _times(stats.size, stats.no_expiry))


def _times(figure: Estimate, share: Estimate) -> Estimate:
    return Estimate(
        figure.value * share.value, figure.low * share.low, figure.high * share.high, figure.exact and share.exact
    )


def _known(alias: str) -> Callable[[Iterable[bytes]], bool]:
    """Tells whether an owner, a rule or the library itself names any of some user keys."""
    globs = [*_LIBRARY, *(pattern for owner in owners(alias) for pattern in owner.patterns)]
    for rule in cache_invalidator.rules():
        if rule.alias == alias:
            globs += [_as_glob(text, exact=True) for text in rule.keys]
            globs += [_as_glob(text, exact=False) for text in rule.patterns]
    tests = [compile_glob(glob.encode("utf-8", "surrogateescape")) for glob in dict.fromkeys(globs)]
    return lambda names: any(test(name) for name in names for test in tests)


def _as_glob(text: str, *, exact: bool) -> str:
    """A text of a rule with a star for whatever it is filled with."""
    parts = []
    for literal, name, _spec, _conversion in Formatter().parse(text):
        escaped = escape_glob(literal.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        parts += [escaped if exact else literal, "" if name is None else "*"]
    return "".join(parts)

"""How many keys of some globs are there now, as far as the last look at the cache tells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.utils.translation import gettext as _

from cache_admin import patterns
from cache_admin.adapters.base import Adapter
from cache_admin.exceptions import Unsupported
from cache_admin.keys import KeyCodec, compile_glob
from cache_admin.keyspace import estimates, reports
from cache_admin.keyspace.report import Estimate, PatternStats, Report

#: Exact keys that are asked for one by one; more of them are taken for globs.
MOST_EXACT = 20
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: In place of what varies in a pattern: a byte that no glob names, so only a wildcard matches it.
_VARYING = b"\x02"


def exact_key(glob: str) -> str | None:
    """The one user key that a glob without wildcards matches, or ``None``."""
    if any(char in "*?[" for char in _ESCAPE.sub("", glob)):
        return None
    return _ESCAPE.sub(r"\1", glob)


def present(cache: Adapter, globs: Iterable[str], *, after: float = 0.0) -> Estimate:
    """Keys of the alias that match any of ``globs`` (of user keys): exact ones are looked up, the rest is taken from
    the current report, which must not be older than ``after`` (Unix time).

    An estimate of 0 says only that the sample met none; its ``high`` is what there may be. Raises
    :class:`~cache_admin.exceptions.Unsupported` for wildcards where keys cannot be listed, and what adapters raise.
    """
    given = dict.fromkeys(globs)
    exact = [key for glob in given if (key := exact_key(glob)) is not None]
    exact = exact if len(exact) <= MOST_EXACT else []
    wide = [glob for glob in given if not exact or exact_key(glob) is None]
    met = Estimate.of(sum(cache.exists(key) for key in exact))
    if not wide:
        return met
    if not cache.can_list:
        raise Unsupported(_("This kind of cache cannot list its keys."))
    return _sum(met, in_report(reports.current(cache.alias, after=after), wide, cache.codec))


def in_report(report: Report, globs: Iterable[str], codec: KeyCodec) -> Estimate:
    """The same from one report alone."""
    wanted = [glob.encode("utf-8", "surrogateescape") for glob in globs]
    total = Estimate.of(0)
    for stats in report.patterns:
        total = _sum(total, _of(stats, wanted, codec))
    if report.other:  # which has no membership
        total = _sum(total, _by_examples(report.other, wanted, codec))
    if report.complete or total.value:
        return total
    return estimates.count(0, report.scanned, report.total)


def typical(template: bytes) -> bytes:
    """A user key that stands for all of a pattern: only a wildcard matches what varies in it."""
    return template.translate(_STARS)


def _of(stats: PatternStats, globs: list[bytes], codec: KeyCodec) -> Estimate:
    """Keys of one pattern that match."""
    name = typical(stats.template)
    return stats.keys if any(compile_glob(glob)(name) for glob in globs) else _by_examples(stats, globs, codec)


def _by_examples(stats: PatternStats, globs: list[bytes], codec: KeyCodec) -> Estimate:
    """The same where only a part of the pattern can match: as large a part as that of the examples."""
    matches = [compile_glob(glob) for glob in globs]
    met = sum(any(match(codec.strip(raw)) for match in matches) for raw in stats.examples)
    return Estimate(stats.keys.value * met / len(stats.examples), 0.0, stats.keys.high) if met else Estimate.of(0)


_STARS = bytes.maketrans(patterns.ID + patterns.WORD, _VARYING * 2)


def _sum(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(
        one.value + other.value, one.low + other.low, one.high + other.high, exact=one.exact and other.exact
    )

"""A look at the keyspace of one alias -> its :class:`Contents`: counted where a scan is fresh, else from a sample."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from cache_admin import patterns
from cache_admin.adapters import adapter
from cache_admin.adapters.base import Adapter
from cache_admin.keys import KeyCodec
from cache_admin.keyspace import reports
from cache_admin.keyspace.holdings import Contents, Holding
from cache_admin.keyspace.report import ForeignStats, PatternStats, Report

#: Seconds for which a complete scan is as good as a look of now.
FRESH = 900.0
#: Patterns that are kept: so many of the largest by bytes, and by keys.
MOST = 300


def take(alias: str, *, after: float = 0.0, heads: Iterable[bytes] = ()) -> Contents:
    """What an alias holds now: from a complete scan if one began after ``after`` (Unix time) and in the last ``FRESH``
    seconds, else from a sample. ``heads`` are those that it had before, beside those of its other versions.

    Raises what :func:`reports.current` raises.
    """
    cache = adapter(alias)
    report = reports.current(alias, after=max(after, time.time() - FRESH))
    own = cache.codec.owns
    if not all(own(raw) for stats in report.patterns[:1] for raw in stats.examples):
        # It was taken by a process with another prefix or version.
        report = reports.current(alias, after=time.time())
    return of(report, cache, heads)


def of(report: Report, cache: Adapter, heads: Iterable[bytes] = ()) -> Contents:
    """The contents that a report of this cache tells of."""
    codec = cache.codec
    by_keys = sorted(report.patterns, key=lambda stats: -stats.keys.value)
    kept = {stats.template: _holding(stats) for stats in (*report.patterns[:MOST], *by_keys[:MOST])}
    left = [stats.keys.high for stats in report.patterns if stats.template not in kept]
    return Contents(
        head=codec.head,
        version=codec.version,
        prefix=str(getattr(cache.cache, "key_prefix", "")),
        at=report.started,
        complete=report.complete,
        scanned=report.scanned,
        total=report.total,
        measured=report.measured,
        holdings=kept,
        left_out=round(max([*left, report.other.keys.high if report.other else 0.0])),
        earlier=_earlier(report.foreign, cache, [head for head in heads if head and head != codec.head]),
    )


def version_of(head: bytes, cache: Adapter) -> int | None:
    """The version of an alias that puts ``head`` in front of its keys; ``None`` for another prefix."""
    numbers = {int(number) for number in re.findall(rb"\d{1,18}", head)}
    return next((number for number in numbers if KeyCodec.of(cache.cache, version=number).head == head), None)


def _holding(stats: PatternStats) -> Holding:
    return Holding(stats.keys, stats.size, stats.no_expiry, _median(stats.ttl_buckets))


def _median(buckets: tuple[float, ...]) -> int | None:
    half, passed = sum(buckets) / 2, 0.0
    for i, share in enumerate(buckets):
        passed += share
        if share and passed >= half:
            return i
    return None


def _earlier(
    foreign: Iterable[ForeignStats], cache: Adapter, heads: Iterable[bytes]
) -> dict[bytes, dict[bytes, Holding]]:
    known = sorted(heads, key=len, reverse=True)
    found: dict[bytes, dict[bytes, Holding]] = {}
    for stats in foreign:
        raw = stats.examples[0] if stats.examples else b""
        head = next((head for head in known if raw.startswith(head)), None)
        if head is None and stats.alias == cache.alias and stats.version is not None:
            head = KeyCodec.of(cache.cache, version=stats.version).head
        if head:
            holdings = found.setdefault(head, {})
            template = patterns.fold(raw[len(head) : len(raw) - len(cache.codec.tail)])
            holding = Holding(stats.keys, stats.size)
            holdings[template] = holdings[template].joined(holding) if template in holdings else holding
    return found

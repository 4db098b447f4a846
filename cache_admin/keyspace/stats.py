"""The figures of the dashboard for code and scripts: :class:`CacheStats`.

Nothing here asks more of a server than a page of the dashboard does: one INFO per server and ``sampler.STEP`` seconds,
a stored census or a sample within a time budget, ``SCAN`` and never ``KEYS``. Needs ``"cache_admin"`` in
``INSTALLED_APPS``; in async code call it through ``sync_to_async``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters import adapter
from cache_admin.adapters.base import SCAN_COUNT, Adapter
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.exceptions import CacheAdminError, InvalidPattern, Unsupported
from cache_admin.keys import normalise_glob
from cache_admin.keyspace import reports
from cache_admin.keyspace.census import SAMPLE_PROBES, Census
from cache_admin.keyspace.report import Estimate, Report
from cache_admin.monitoring import sampler

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """One alias. What could not be known is ``None``, and ``unknown`` says why, in translated sentences."""

    alias: str
    label: str  #: words for the kind of cache, e.g. "Redis through django-redis", or the name of its class
    servers: tuple[ServerInfo, ...]  #: what each server says of itself, primary first
    report: Report | None  #: what fills it: the complete scan of the last day, or else a sample
    unknown: tuple[str, ...]

    @property
    def keys(self) -> Estimate | None:
        """Keys of this alias at its version."""
        return self.report.own_keys if self.report else None

    @property
    def size(self) -> Estimate | None:
        """Bytes of those keys in the memory of the server."""
        return self.report.own_size if self.report and self.report.measured else None

    @property
    def hits(self) -> int | None:
        """Look-ups that found a key, of all clients, databases and servers, since their counters began."""
        return _total([server.hits for server in self.servers])

    @property
    def misses(self) -> int | None:
        """Look-ups that found none, likewise."""
        return _total([server.misses for server in self.servers])

    @property
    def hit_rate(self) -> float | None:
        """Hits of all look-ups, 0 to 1; ``None`` also where there were none."""
        lookups = (self.hits or 0) + (self.misses or 0)
        return (self.hits or 0) / lookups if lookups else None


@dataclass(frozen=True, slots=True)
class KeyAnalysis:
    """The keys of one alias that match a glob. What could not be known is ``None``, and ``unknown`` says why."""

    alias: str
    pattern: str  #: the glob of user keys
    glob: bytes  #: as it goes to the server, with the alias's prefix and version
    report: (
        Report | None
    )  #: of the matching keys alone: its patterns, shares and largest keys; ``complete`` or a sample
    unknown: tuple[str, ...]

    @property
    def keys(self) -> Estimate | None:
        """Matching keys."""
        return self.report.own_keys if self.report else None

    @property
    def size(self) -> Estimate | None:
        """Their bytes in the memory of the server."""
        return self.report.own_size if self.report and self.report.measured else None


class CacheStats:
    """Figures by alias. A server that is silent or forbids something costs the figures of it, not an exception.

    Both raise :class:`UnknownAlias`, and :class:`Unsupported` for a backend that cannot be loaded.
    """

    @staticmethod
    def get_cache_info(alias: str = "default") -> CacheInfo:
        """The servers and the contents of an alias."""
        cache = adapter(alias)
        unknown: list[str] = []
        reading = _try(lambda: sampler.reading(alias), unknown)
        nodes = reading.nodes if reading else ()
        unknown += [str(node.error) for node in nodes if node.error]
        report = _try(lambda: reports.current(alias), unknown)
        return CacheInfo(
            alias=alias,
            label=cache.label or type(cache.cache).__name__,
            servers=tuple(node.info for node in nodes if node.info),
            report=report,
            unknown=_sentences(unknown, report),
        )

    @staticmethod
    def analyze_cache_keys(alias: str = "default", pattern: str = "*", *, seconds: float | None = None) -> KeyAnalysis:
        """The keys that a glob of user keys matches, as Redis reads globs.

        Looks for ``seconds``, by default as long as a sample of the dashboard (``SAMPLE_MILLISECONDS``), and estimates
        the rest; ``math.inf`` looks at all keys, without pauses. Raises :class:`InvalidPattern`.
        """
        cache = adapter(alias)
        pattern = normalise_glob(pattern)
        unknown: list[str] = []
        budget = conf.current().SAMPLE_MILLISECONDS / 1000 if seconds is None else seconds
        report = _try(lambda: _matching(cache, pattern, budget), unknown)
        return KeyAnalysis(alias, pattern, cache.codec.glob(pattern), report, _sentences(unknown, report))


def _matching(cache: Adapter, pattern: str, budget: float) -> Report:
    """A census of the keys that match. The first pages of a SCAN are a uniform sample, whatever of them matches."""
    if not cache.codec.reversible and cache.can_list:
        text = _(
            "%(alias)s: its KEY_FUNCTION does more than to add a prefix and a version, so no pattern can be matched."
        )
        raise Unsupported(text % {"alias": cache.alias})
    census = Census(cache, probes=SAMPLE_PROBES)
    looked_at = 0
    began = time.perf_counter()
    with closing(cache.walk(census.choose, glob=cache.codec.glob(pattern))) as pages:
        for page in pages:
            census.feed(page)
            looked_at += max(SCAN_COUNT, len(page.keys))
            if time.perf_counter() - began > budget:
                break
    whole = census.finished and census.total
    census.scanned = max(census.scanned, census.total if whole else min(looked_at, census.total))
    return census.report()


def _try(ask: Callable[[], T], unknown: list[str]) -> T | None:
    """The answer, or ``None`` and a sentence in ``unknown``."""
    try:
        return ask()
    except InvalidPattern:
        raise
    except CacheAdminError as error:
        unknown.append(str(error))
        return None


def _sentences(unknown: list[str], report: Report | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*unknown, *(report.notes if report else ())]))


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None

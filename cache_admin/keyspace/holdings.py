"""What one alias held at a moment, small enough to be kept with a deploy and compared later. Pure.

Figures that a sample estimated keep their interval, in storage too.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cache_admin.keyspace import estimates
from cache_admin.keyspace.report import Estimate
from cache_admin.monitoring.usage import decoded, encoded

UNKNOWN = Estimate(0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Holding:
    """What is there of one pattern."""

    keys: Estimate
    size: Estimate  #: bytes
    no_expiry: Estimate = UNKNOWN  #: share of its keys that never expire, 0 to 1
    ttl: int | None = None  #: the bucket of ``report.TTL_EDGES`` in which the median of those lies that expire

    @property
    def endless(self) -> Estimate:
        """Keys that never expire."""
        share, keys = self.no_expiry, self.keys
        if share.unknown:
            return Estimate(0.0, 0.0, keys.high)
        exact = share.exact and keys.exact
        return Estimate(share.value * keys.value, share.low * keys.low, share.high * keys.high, exact)

    def joined(self, other: Holding) -> Holding:
        """Both patterns together; the expiry of the larger one stands for both where one is not known."""
        keys, size = estimates.total((self.keys, other.keys)), estimates.total((self.size, other.size))
        if self.no_expiry.unknown or other.no_expiry.unknown or not keys.value:
            return Holding(keys, size, ttl=self.ttl)
        never = estimates.total((self.endless, other.endless))
        low, high = min(1.0, never.low / keys.value), min(1.0, never.high / keys.value)
        return Holding(keys, size, Estimate(never.value / keys.value, low, high, never.exact), self.ttl)


@dataclass(frozen=True, slots=True)
class Contents:
    """What one alias holds. ``error`` says why nothing is known, in words."""

    head: bytes = b""  #: what the alias puts in front of its keys
    version: int = 0
    prefix: str = ""
    at: float = 0.0  #: Unix time of the look
    complete: bool = False
    scanned: int = 0
    total: int = 0
    measured: bool = True  #: False where bytes may not be read
    holdings: Mapping[bytes, Holding] = field(default_factory=dict)  #: by template
    left_out: float = 0.0  #: most keys that a pattern has for which there was no room in ``holdings``
    #: what there is of the alias under other heads, by head: of other versions, and of prefixes that it had before
    earlier: Mapping[bytes, Mapping[bytes, Holding]] = field(default_factory=dict)
    error: str = ""

    @property
    def unseen(self) -> float:
        """As many keys a pattern may have that is not in ``holdings``."""
        if self.error:
            return float("inf")
        hidden = 0.0 if self.complete else estimates.count(0, self.scanned, self.total).high
        return max(hidden, self.left_out)


def together(holdings: Mapping[bytes, Holding]) -> Holding:
    """All patterns as one."""
    every = holdings.values()
    return Holding(estimates.total([one.keys for one in every]), estimates.total([one.size for one in every]))


def dump(contents: Contents) -> dict[str, Any]:
    """As JSON, see :func:`load`."""
    if contents.error:
        return {"error": contents.error, "at": contents.at}
    return {
        **{name: getattr(contents, name) for name in _PLAIN},
        "head": b64encode(contents.head).decode(),
        "patterns": _dumped(contents.holdings),
        "earlier": {b64encode(head).decode(): _dumped(holdings) for head, holdings in contents.earlier.items()},
    }


def load(stored: Any) -> Contents | None:
    """What was dumped; ``None`` for nothing, and for what another version wrote."""
    try:
        if "error" in stored:
            return Contents(error=str(stored["error"]), at=float(stored["at"]))
        return Contents(
            head=b64decode(stored["head"]),
            holdings=_loaded(stored["patterns"]),
            earlier={b64decode(head): _loaded(holdings) for head, holdings in stored["earlier"].items()},
            **{name: stored[name] for name in _PLAIN},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


_PLAIN = ("version", "prefix", "at", "complete", "scanned", "total", "measured", "left_out")


def _dumped(holdings: Mapping[bytes, Holding]) -> dict[str, Any]:
    return {
        encoded(template): [_figure(one.keys, 0), _figure(one.size, 0), _figure(one.no_expiry, 4), one.ttl]
        for template, one in holdings.items()
    }


def _figure(figure: Estimate, digits: int) -> Any:
    value, low, high = (round(edge, digits) for edge in (figure.value, figure.low, figure.high))
    return value if figure.exact else [value, low, high]


def _loaded(stored: Mapping[str, Any]) -> dict[bytes, Holding]:
    return {
        decoded(text): Holding(_estimate(keys), _estimate(size), _estimate(never), ttl)
        for text, (keys, size, never, ttl) in stored.items()
    }


def _estimate(stored: Any) -> Estimate:
    if isinstance(stored, list):
        value, low, high = stored
        return Estimate(value, low, high)
    return Estimate.of(stored)

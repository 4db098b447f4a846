"""95 % intervals of what a sample of the keyspace says about all of it.

The first pages of a SCAN are a sample without replacement, ``n`` of ``total`` keys in the random order of a hash table.

* Shares of keys: Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927) with the sample's size enlarged
  by the finite-population correction.
* Sums and shares of bytes: the expansion and the ratio estimator with their own spread (W. G. Cochran, Sampling
  Techniques, 1977, chapters 2 and 6), on a logarithmic scale, which makes the interval longer upwards. Sizes are
  heavy-tailed, and the largest keys are mostly not in the sample; so the spread counts one more key, the larger the
  heavier the tail is by Hill's estimator (B. M. Hill, Ann. Stat. 3, 1975) over the ``TOPS`` largest keys met.

``Z`` is above the 1.96 of one interval because people look at the patterns that came out largest, and picking them by
the same sample costs coverage. ``benchmarks/sample.py`` measures the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, log, sqrt

from cache_admin.keyspace.report import Estimate

Z = 2.24
TOPS = 10
TAIL = 5.0
_WIDEST = 5.0  #: natural logarithm of high to value; wider says nothing more


@dataclass(frozen=True, slots=True)
class Weight:
    """Sizes of some keys of a sample. ``tops`` are the largest of them, at most ``TOPS``, largest first."""

    keys: int
    size: int  #: bytes, sum
    squares: float  #: sum of squared sizes
    tops: Sequence[int]

    @property
    def spread(self) -> float:
        """Sum of squares, with that of a key not met."""
        if not self.tops or not self.tops[-1]:
            return self.squares
        hill = sum(log(top / self.tops[-1]) for top in self.tops) / max(1, len(self.tops) - 1)
        return self.squares + ((1 + TAIL * hill) * self.tops[0]) ** 2


def share(part: int, of: int, population: float) -> Estimate:
    """The share that ``part`` of ``of`` keys tell of a population; exact where all of it was looked at."""
    if of <= 0:
        return Estimate(0.0, 0.0, 1.0) if population > 0 else Estimate.of(0.0)
    value = part / of
    if of >= population:
        return Estimate.of(value)
    n = of * max(population - 1, 1) / (population - of)
    z2 = Z * Z / n
    middle = (value + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * sqrt(value * (1 - value) / n + z2 / (4 * n))
    return Estimate(value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


def count(part: int, n: int, total: int) -> Estimate:
    """Keys of a kind in the whole keyspace, of which ``part`` were among the ``n`` looked at."""
    if n >= total:
        return Estimate.of(part)
    found = share(part, n, total)
    return Estimate(found.value * total, max(float(part), found.low * total), found.high * total)


def total(parts: Sequence[Estimate]) -> Estimate:
    """The sum of independent estimates; its interval adds up theirs as errors add up, by squares (G. Y. Zou, A. Donner,
    Stat. Med. 27, 2008)."""
    value = sum(part.value for part in parts)
    low = value - hypot(*(part.value - part.low for part in parts))
    high = value + hypot(*(part.high - part.value for part in parts))
    return Estimate(value, max(0.0, low), high, all(part.exact for part in parts))


def size(part: Weight, n: int, total: int) -> Estimate:
    """Bytes of a kind of keys in the whole keyspace, from those among the ``n`` keys looked at."""
    if n >= total or not part.size:
        return Estimate(part.size, part.size, part.size, n >= total)
    value = part.size * total / n
    error = Z * sqrt((1 - n / total) * max(part.spread - part.size**2 / n, 0.0)) / part.size
    factor = exp(min(error, _WIDEST))
    return Estimate(value, max(float(part.size), value / factor), value * factor)


def size_share(part: Weight, rest: Weight, n: int, total: int) -> Estimate:
    """The share of bytes that ``part`` has of ``part`` and ``rest`` together."""
    both = part.size + rest.size
    if not both:
        return Estimate(0.0, 0.0, 0.0, n >= total)
    value = part.size / both
    if n >= total:
        return Estimate.of(value)
    if not part.size or not rest.size:
        found = share(part.keys, part.keys + rest.keys, total)
        return Estimate(value, min(value, found.low), max(value, found.high))
    spread = (1 - value) ** 2 * part.spread + value**2 * rest.spread
    error = Z * sqrt((1 - n / total) * spread) / both / (value * (1 - value))
    odds = log(value / (1 - value))
    return Estimate(value, _logistic(odds - error), _logistic(odds + error))


def known_share(part: float, whole: Estimate) -> Estimate:
    """The share that a known figure has of an estimated one, which is not below it."""
    if not whole.value:
        return Estimate(0.0, 0.0, 0.0, whole.exact)
    low = part / whole.high
    return Estimate(part / whole.value, low, min(1.0, part / whole.low) if whole.low else 1.0, whole.exact)


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds)) if odds > -700 else 0.0

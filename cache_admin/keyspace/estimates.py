"""95 % intervals of what a sample of the keyspace says about all of it.

The first pages of a SCAN are a sample without replacement, ``n`` of ``total`` keys in the random order of a hash table.

* Shares of keys: Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927) with the sample's size enlarged
  by the finite-population correction.
* Sums and shares of bytes: the expansion and the ratio estimator with their own spread (W. G. Cochran, Sampling
  Techniques, 1977, chapters 2 and 6). Sizes are heavy-tailed: the largest keys are mostly not in the sample, so the
  spread counts one more key, ``UNSEEN`` times as large as the largest that was met, and the interval is formed on a
  logarithmic scale, which makes it longer upwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

from cache_admin.keyspace.report import Estimate

Z = 1.96
UNSEEN = 2.0


@dataclass(frozen=True, slots=True)
class Weight:
    """Sizes of some keys of a sample."""

    keys: int
    size: int  #: bytes, sum
    squares: float  #: sum of squared sizes
    largest: int


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


def size(part: Weight, n: int, total: int) -> Estimate:
    """Bytes of a kind of keys in the whole keyspace, from those among the ``n`` keys looked at."""
    if n >= total or not part.size:
        return Estimate(part.size, part.size, part.size, n >= total)
    value = part.size * total / n
    spread = part.squares + (UNSEEN * part.largest) ** 2 - part.size**2 / n
    error = sqrt((1 - n / total) * max(spread, 0.0)) / part.size
    return Estimate(value, max(float(part.size), value * exp(-Z * error)), value * exp(Z * error))


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
        return Estimate(value, found.low, found.high)
    spread = (1 - value) ** 2 * (part.squares + (UNSEEN * part.largest) ** 2)
    spread += value**2 * (rest.squares + (UNSEEN * rest.largest) ** 2)
    error = Z * sqrt((1 - n / total) * spread) / both / (value * (1 - value))
    odds = log(value / (1 - value))
    return Estimate(value, _logistic(odds - error), _logistic(odds + error))


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-odds)) if odds > -700 else 0.0

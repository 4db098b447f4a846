"""Patterns that cost more than they save, told from their counts."""

from __future__ import annotations

import pytest

from cache_admin.monitoring.rates import PatternUsage
from cache_admin.monitoring.usage import Counts, total
from cache_admin.monitoring.worth import doubt, reads_per_write


def used(*points: tuple[int, int, int] | None) -> PatternUsage:
    """A pattern by its (hits, misses, sets) of each point."""
    return PatternUsage(b"a", total(Counts(*point) for point in points if point), points)


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([(0, 5, 100)], "write_only"),
        ([(0, 0, 30)], "write_only"),
        ([(0, 0, 19)], ""),  # too few to judge
        ([(10, 40, 40), None, (3, 20, 20)], "read_once"),
        ([(90, 10, 10), (80, 20, 20)], ""),
        # One burst of reads does not make up for days of writing for nobody.
        ([(1, 30, 30), (1, 30, 30), (9_000, 0, 1)], "read_once"),
        ([(500, 10, 0)], ""),
    ],
)
def test_what_is_written_for_nobody_is_told(points: list[tuple[int, int, int] | None], found: str) -> None:
    assert doubt(used(*points)) == found


def test_reads_per_write_of_what_was_not_written_are_not_known() -> None:
    assert reads_per_write(used((5, 0, 0), None)) is None
    assert reads_per_write(used((5, 5, 2), (1, 1, 1))) == pytest.approx(1.75)

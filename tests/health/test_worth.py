"""Patterns that cost more than they save, told from what was asked of them in a day."""

from __future__ import annotations

import pytest

from cache_admin.health.counted import Counted
from cache_admin.health.worth import doubtful
from cache_admin.monitoring.usage import OTHER, Counts
from cache_admin.patterns import ID

A = b"a:" + ID


def counted(hits: int, misses: int, sets: int, *, hours: float = 24.0, share: float = 1.0) -> Counted:
    return Counted({A: Counts(hits, misses, sets)}, {}, hours, share)


@pytest.mark.parametrize(
    ("counts", "doubt"),
    [
        (counted(0, 0, 200), "write_only"),
        (counted(0, 500, 200), "write_only"),
        (counted(0, 0, 199), None),
        (counted(199, 0, 200), "read_once"),
        (counted(200, 0, 200), None),
        (counted(0, 0, 200, hours=2.9), None),
        (counted(0, 0, 200, share=0.5), None),
        (counted(0, 0, 400, share=0.5), "write_only"),
    ],
)
def test_what_is_hardly_read(counts: Counted, doubt: str | None) -> None:
    assert {template: found.doubt for template, found in doubtful(counts).items()} == ({A: doubt} if doubt else {})


def test_hits_count_whenever_they_are() -> None:
    """A warmer fills at the full hour; visitors read in the other minutes."""
    assert doubtful(Counted({A: Counts(hits=900)}, {A: Counts(sets=300)}, 24.0)) == {}


def test_locks_and_what_has_no_place_of_its_own_are_not_judged() -> None:
    written = Counts(sets=500)
    assert doubtful(Counted({}, {b"lock:" + ID: written, OTHER: written}, 24.0)) == {}


def test_the_words_say_who_does_not_read_it() -> None:
    (told,) = doubtful(counted(0, 2, 300)).values()
    assert (told.sentence, told.short, told.level) == (
        "Written, and never read by this site's processes", "written, never read", "warn",
    )  # fmt: skip
    assert told.evidence == ("300 sets and 0 hits in the last 25\u00a0h",)
    (told,) = doubtful(counted(20, 2, 300, share=0.9)).values()
    assert told.evidence == ("\u2248\u202f300 sets and \u2248\u202f20 hits in the last 25\u00a0h",)

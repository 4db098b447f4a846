"""Verdicts on a pattern: what is one, and what is only noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cache_admin.keyspace import estimates
from cache_admin.keyspace.holdings import Holding
from cache_admin.keyspace.judging import judge
from cache_admin.keyspace.report import Estimate
from cache_admin.keyspace.verdicts import Basis, Side, grade_of, in_words
from cache_admin.keyspace.windows import window
from cache_admin.monitoring.usage import Counts

#: Both sides looked at to the last key, with equal traffic.
EXACT = Basis(unseen_before=0.0, unseen_after=0.0, traffic=1.0)


def exact(keys: int, size: int = 0, never: float = 0.0, ttl: int | None = 3) -> Holding:
    return Holding(Estimate.of(keys), Estimate.of(size or 100 * keys), Estimate.of(never), ttl)


def sampled(part: int, never: int = 0, n: int = 5_000, total: int = 1_000_000) -> Holding:
    """``part`` of ``n`` keys looked at, of which at most 50 were asked for their expiry."""
    keys, probed = estimates.count(part, n, total), min(part, 50)
    share = estimates.share(never, probed, keys.value)
    return Holding(keys, Estimate(100 * keys.value, 100 * keys.low, 100 * keys.high), share, 3)


def side(holding: Holding | None = None, **counts: int) -> Side:
    return Side(Counts(**counts), holding)


def kinds(before: Side, after: Side, basis: Basis = EXACT) -> list[str]:
    return [verdict.kind for verdict in judge(before, after, basis)]


def texts(before: Side, after: Side, basis: Basis = EXACT) -> list[str]:
    return [verdict.text for verdict in judge(before, after, basis)]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ((820, 180), (440, 560), ["hit rate \u221238 points"]),
        ((440, 560), (820, 180), ["hit rate +38 points"]),
        ((9_000, 1_000), (8_400, 1_600), ["hit rate \u22126.0 points"]),
        ((82, 18), (75, 25), []),  # overlapping intervals
        ((40, 0), (0, 40), []),  # too few look-ups
        ((90_000, 10_000), (87_000, 13_000), []),  # certain, but small
        ((0, 0), (100, 900), []),  # nothing to compare with
    ],
)
def test_hit_rates_differ_only_beyond_their_noise(before, after, found: list[str]) -> None:
    one, other = (side(exact(50), hits=hits, misses=misses) for hits, misses in (before, after))
    assert texts(one, other) == found


def test_a_share_of_the_operations_is_less_to_go_by() -> None:
    before, after = side(exact(9), hits=900, misses=100), side(exact(9), hits=800, misses=200)
    assert kinds(before, after) == ["hit_rate"]
    assert kinds(before, after, replace(EXACT, share=0.05)) == []


def test_what_vanished_and_what_only_rests() -> None:
    held, used = exact(500), {"hits": 100, "sets": 10}
    assert texts(side(held, **used), side()) == ["vanished"]
    assert texts(side(held), side()) == ["vanished"]
    assert texts(side(held, **used), side(held)) == ["vanished: nobody uses it, 500 keys are left"]
    assert kinds(side(held, hits=10), side(held)) == []  # ten look-ups may well be none
    assert kinds(side(exact(4)), side()) == []
    # Half the traffic: of 30 look-ups 15 would be expected.
    assert kinds(side(held, hits=30), side(held), replace(EXACT, traffic=0.5)) == []
    # While processes are replaced, a few of those before still ask.
    assert kinds(side(held, hits=10_000), side(held, hits=100)) == ["vanished"]
    assert "vanished" not in kinds(side(held, hits=10_000), side(held, hits=1_000))


def test_a_sample_that_did_not_meet_a_pattern_proves_little() -> None:
    unseen = estimates.count(0, 5_000, 1_000_000).high
    basis = replace(EXACT, unseen_before=unseen, unseen_after=unseen)
    assert kinds(side(sampled(1)), side(), basis) == []
    assert kinds(side(), side(sampled(1)), basis) == []
    assert kinds(side(sampled(500)), side(), basis) == ["vanished"]
    assert kinds(side(), side(sampled(500)), basis) == ["new"]


def test_what_is_new_and_whether_it_expires() -> None:
    assert texts(side(), side(exact(40, never=1.0))) == ["new and never expires"]
    assert texts(side(), side(exact(40))) == ["new"]
    assert kinds(side(), side(exact(3))) == []
    assert kinds(side(hits=1), side(exact(40))) == []
    # Nobody knows what was there, but it was never asked for.
    blind = Basis(traffic=1.0)
    assert kinds(side(), side(exact(40), hits=100, sets=30), blind) == ["new"]
    assert kinds(side(), side(exact(40)), blind) == []


def test_lost_expiry() -> None:
    assert texts(side(exact(500)), side(exact(500, never=0.62))) == ["lost its expiry: 310 keys never expire"]
    assert kinds(side(exact(5_000)), side(exact(5_000, never=0.005))) == ["endless"]  # 25 keys where there were none
    assert kinds(side(exact(500, never=0.30)), side(exact(500, never=0.33))) == []
    assert kinds(side(exact(500)), side(exact(500, never=0.01))) == []
    assert kinds(side(sampled(500)), side(sampled(500, never=3))) == []  # three of fifty may be chance
    assert kinds(side(sampled(500)), side(sampled(500, never=30))) == ["endless"]
    unknown = Holding(Estimate.of(500), Estimate.of(9))
    assert kinds(side(unknown), side(replace(unknown, no_expiry=Estimate.of(1.0)))) == []


def test_rebuilds_errors_and_what_is_no_longer_written() -> None:
    def built(number: int, seconds: float) -> Side:
        return side(exact(50), rebuilds=number, rebuild_micros=round(number * seconds * 1e6))

    assert texts(built(30, 0.040), built(30, 0.084)) == ["rebuilds take 2.1 times as long"]
    assert kinds(built(30, 0.084), built(30, 0.040)) == ["faster"]
    assert kinds(built(30, 0.040), built(5, 0.400)) == []
    assert kinds(built(30, 0.0010), built(30, 0.0030)) == []  # two milliseconds hurt nobody
    assert kinds(side(exact(9), hits=500), side(exact(9), hits=480, errors=20)) == ["errors"]
    assert kinds(side(exact(9), hits=500, errors=15), side(exact(9), hits=480, errors=20)) == []
    assert kinds(side(exact(9), misses=40, sets=40), side(exact(9), misses=45)) == ["unwritten"]
    assert kinds(side(exact(9), misses=4, sets=40), side(exact(9), hits=45)) == []


def test_growth_and_shorter_lives() -> None:
    assert texts(side(exact(1_000)), side(exact(3_100))) == ["grew to 3.1 times its memory"]
    assert kinds(side(exact(3_100)), side(exact(1_000))) == ["shrank"]
    # Three times as many visitors, or the first ones.
    assert kinds(side(exact(1_000)), side(exact(3_100)), replace(EXACT, traffic=3.0)) == []
    assert kinds(side(exact(1_000)), side(exact(3_100)), replace(EXACT, traffic=None, began=True)) == []
    assert kinds(side(exact(1_000)), side(exact(3_100)), replace(EXACT, traffic=None)) == ["grew"]
    assert kinds(side(exact(20)), side(exact(80))) == []
    assert texts(side(exact(1_000)), side(exact(3_100)), replace(EXACT, measured=False)) == [
        "grew to 3.1 times its keys"
    ]
    assert kinds(side(sampled(20)), side(sampled(32))) == []
    assert kinds(side(exact(99, ttl=4)), side(exact(99, ttl=1))) == ["sooner"]
    # A cache with another version began empty.
    assert kinds(side(exact(9_000, ttl=4)), side(exact(300, ttl=1)), replace(EXACT, fresh=True)) == []


def test_a_pattern_of_the_version_before_is_missed_only_if_it_was_asked_for() -> None:
    fresh = replace(EXACT, fresh=True)
    assert kinds(side(exact(500)), side(), fresh) == []
    assert kinds(side(exact(500), hits=100), side(), fresh) == ["vanished"]


def test_words() -> None:
    found = {"worse": 3, "grew": 2, "vanished": 1, "new_endless": 1, "left": 12_000}
    assert in_words(found) == "3 patterns worse, 2 grew, 1 vanished, 1 new and never expires, 12,000 keys left behind"
    assert in_words({"left": 41, "left_about": 1}) == "≈\u202f41 keys left behind"
    assert in_words({"better": 2}) == "no pattern is worse, 2 better"
    assert [grade_of(one) for one in (found, {"left": 3}, {"new": 1})] == ["bad", "warn", "good"]


AT = 1_795_600_030.0


@pytest.mark.parametrize(
    ("now", "neighbours", "seconds", "limit"),
    [
        (AT + 5 * 3_600, {}, 3_600, ""),
        (AT + 4_000, {}, 3_600, ""),
        (AT + 780, {}, 720, "now"),
        (AT + 20, {}, 0, "now"),
        (AT + 9_000, {"previous": AT - 600}, 540, "previous"),
        (AT + 9_000, {"following": AT + 300}, 240, "next"),
        (AT + 9_000, {"following": AT + 3}, 0, "next"),
    ],
)
def test_stretches_are_equal_and_reach_over_no_neighbour(now, neighbours, seconds: int, limit: str) -> None:
    found = window(AT, now, 3_600, **neighbours)
    assert (found.seconds, found.limit) == (seconds, limit)
    assert found.before + found.seconds <= AT <= found.after
    assert found.before >= neighbours.get("previous", 0)
    if found.seconds:
        assert found.after + found.seconds <= min(now, neighbours.get("following", now))


def test_old_deploys_are_compared_in_the_stretches_that_are_still_kept() -> None:
    steps = [window(AT, AT + hours * 3_600, 3_600).step for hours in (1, 12, 100, 500)]
    assert steps == [60, 600, 3_600, 21_600]
    assert all(window(AT, AT + hours * 3_600, 3_600).points >= 1 for hours in (1, 12, 100, 500))

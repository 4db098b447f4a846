"""Differences, epochs and gaps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.monitoring.counters import Counters, intervals
from cache_admin.monitoring.history import History, fold
from cache_admin.monitoring.spans import SHORTEST

START, STOP = 100_000.0, 100_900.0


def at(seconds: float, **counters: Any) -> Counters:
    """A reading so many seconds before the end, with counters at 0 unless named."""
    zero = {"hits": 0, "misses": 0, "commands": 0, "evicted": 0, "expired": 0, "memory": 1_000}
    return Counters(at=STOP - seconds, **{"run_id": "a", **zero, **counters})


def one(*readings: Counters) -> History:
    return fold([(True, readings)], START, STOP)


def test_rates_are_differences_per_second():
    history = one(
        at(40, hits=100, misses=100, commands=1_000, evicted=10),
        at(20, hits=190, misses=110, commands=3_000, evicted=10, expired=40, memory=2_000),
        at(0, hits=200, misses=200, commands=3_000, evicted=10, expired=40),
    )
    assert history.hit_rate[-2:] == (0.9, 0.1)
    assert history.operations[-2:] == (100.0, 0.0)
    assert history.expirations[-2:] == (2.0, 0.0)
    assert history.memory[-2:] == (2_000, 1_000)
    assert history.recent.hit_rate == 0.5
    assert history.recent.lookups == 200 / 40
    assert history.recent.seconds == 40


def test_no_lookups_is_no_hit_rate():
    history = one(at(20, commands=5), at(0, commands=9))
    assert history.hit_rate[-1] is None
    assert history.recent.hit_rate is None
    assert history.operations[-1] == 0.2


def test_a_restart_is_a_gap_and_a_mark():
    history = one(at(60, hits=500), at(40, hits=900), at(20, run_id="b", hits=950), at(0, run_id="b", hits=960))
    assert history.operations[-3:] == (0.0, None, 0.0)
    assert history.restarts == (STOP - 20,)


def test_reset_counters_are_a_gap_without_a_mark():
    history = one(at(60, hits=500), at(40, hits=900, misses=100), at(20, hits=3, misses=1), at(0, hits=7, misses=1))
    assert history.hit_rate[-3:] == (0.8, None, 1.0)
    assert history.restarts == ()


def test_a_clock_that_was_set_is_a_gap():
    history = one(at(60, hits=500), at(40, hits=900), at(20, hits=9_000_000, jumped=True), at(0, hits=9_000_010))
    assert history.hit_rate[-3:] == (1.0, None, 1.0)
    assert history.restarts == ()


def test_time_in_which_nobody_looked_is_a_gap_in_the_course_but_counts_for_the_figure():
    history = one(at(200, hits=0), at(20, hits=90, misses=10), at(0, hits=90, misses=10))
    assert history.hit_rate[-5:] == (None,) * 5
    assert history.recent.hit_rate == 0.9


def test_slower_readings_leave_no_holes():
    history = one(*(at(60 * i, commands=600 * (5 - i)) for i in reversed(range(6))))
    assert history.operations[-15:] == pytest.approx((10.0,) * 15)


def test_servers_are_added_up_but_memory_only_of_primaries():
    readings = [at(20), at(0, hits=10, misses=10, commands=200, expired=20)]
    history = fold([(True, readings), (False, readings)], START, STOP)
    assert (history.operations[-1], history.expirations[-1], history.memory[-1]) == (20.0, 1.0, 1_000)
    assert history.recent.hit_rate == 0.5


def test_a_sum_is_not_drawn_where_one_server_is_missing():
    history = fold([(True, [at(40), at(20), at(0)]), (True, [at(20), at(0)])], START, STOP)
    assert history.operations[-2:] == (None, 0.0)


def test_probes_of_all_processes_are_taken_off():
    history = one(
        at(60, hits=100, misses=100, probed_hits=50),
        at(40, hits=110, misses=110, probed_hits=50),
        at(20, hits=1_120, misses=120, probed_hits=1_050),
        at(0, hits=1_130, misses=130, probed_hits=50),  # a process of old is forgotten
    )
    assert history.hit_rate[-3:] == (0.5, 0.5, 0.5)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), *[st.integers(0, 50)] * 5, st.integers(0, 9), st.booleans()),
        max_size=30,
    )
)
def test_whatever_the_counters_do_nothing_is_negative_or_above_one(rows: list[Any]):
    readings = [
        at(900 - 30 * i, run_id=run, hits=h, misses=m, commands=c, evicted=e, expired=x, probed_hits=p, jumped=jump)
        for i, (run, h, m, c, e, x, p, jump) in enumerate(rows)
    ]
    history = one(*readings)
    for line in (history.operations, history.evictions, history.expirations, history.hit_rate):
        assert len(line) == SHORTEST.points
        assert all(value is None or value >= 0 for value in line)
    assert all(value is None or value <= 1 for value in history.hit_rate)
    assert all(interval.seconds > 0 for interval in intervals(readings))

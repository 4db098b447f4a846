"""Intervals hold the truth as often as they say, also where sizes have heavy tails."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_admin.keyspace.estimates import TOPS, Weight, count, known_share, share, size, size_share


def weigh(sizes: list[int]) -> Weight:
    return Weight(len(sizes), sum(sizes), float(sum(one * one for one in sizes)), sorted(sizes)[: -TOPS - 1 : -1])


@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 10_000))
def test_a_share_lies_within_its_interval_and_zero_to_one(part: int, of: int, population: int) -> None:
    found = share(min(part, of), of, population)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.exact == (of >= population)


@given(st.lists(st.integers(0, 10**9), max_size=30), st.lists(st.integers(0, 10**9), max_size=30), st.integers(1, 99))
def test_bytes_lie_within_their_intervals(part: list[int], rest: list[int], unseen: int) -> None:
    n = len(part) + len(rest)
    for found in (size(weigh(part), n, n + unseen), size_share(weigh(part), weigh(rest), n, n + unseen)):
        assert 0 <= found.low <= found.value * (1 + 1e-9)
        assert found.value <= found.high * (1 + 1e-9) + 1e-9
    assert size(weigh(part), n, n).exact
    assert size(weigh(part), n, n + unseen).low >= sum(part) * (1 - 1e-9)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.integers(1, 99))
def test_the_share_of_a_known_part_lies_within_its_interval(sizes: list[int], unseen: int) -> None:
    found = known_share(sizes[0], size(weigh(sizes), len(sizes), len(sizes) + unseen))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_what_was_looked_at_whole_is_exact() -> None:
    assert share(3, 4, 4).low == share(3, 4, 4).high == 0.75
    assert count(3, 4, 4).exact
    assert share(0, 0, 0).exact


@pytest.mark.parametrize("tail", [1.6, 2.5])
def test_intervals_cover_the_truth_with_heavy_tails(tail: float) -> None:
    rnd = random.Random(7)
    population = [(rnd.random() < 0.3, int(100 * rnd.paretovariate(tail))) for _ in range(20_000)]
    keys = sum(mine for mine, _ in population)
    mine_bytes, all_bytes = sum(one for mine, one in population if mine), sum(one for _, one in population)
    hits = [0, 0, 0]
    for _ in range(200):
        sample = rnd.sample(population, 1000)
        part, rest = weigh([one for mine, one in sample if mine]), weigh([one for mine, one in sample if not mine])
        found = count(part.keys, 1000, 20_000), size_share(part, rest, 1000, 20_000), size(part, 1000, 20_000)
        truth = keys, mine_bytes / all_bytes, mine_bytes
        hits = [hit + (one.low <= true <= one.high) for hit, one, true in zip(hits, found, truth, strict=True)]
    assert min(hits) >= 186

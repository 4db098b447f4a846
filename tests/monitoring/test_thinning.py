"""What goes from the tables of samples, and what never does."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_admin.models import Lease, Probes, ServerSample
from cache_admin.monitoring import leases, thinning
from cache_admin.monitoring.counters import Counters, epoch_ends, intervals
from cache_admin.monitoring.samples import SILENT, counters_of, slot_of
from cache_admin.monitoring.thinning import DAY, HOUR, LEVELS, staying, thin

NOW = 1_800_000_000.0
#: Between two readings: seconds, hits and misses of the project, looks of the dashboard, and what happened.
STEPS = st.tuples(
    st.sampled_from([5, 5, 5, 5, 10, 35, 400, 5_000]),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 5),
    st.sampled_from(["", "", "", "", "", "", "restart", "reset", "clock"]),
)


def readings(steps: list[tuple[int, int, int, int, str]]) -> list[Counters]:
    at, run, hits, misses, looks = NOW - 40 * DAY, 0, 1, 1, 0
    found = [Counters(at=at, run_id="0", hits=hits, misses=misses, commands=2, evicted=0, expired=0)]
    for seconds, more_hits, more_misses, more_looks, happened in steps:
        at += seconds
        if happened in ("restart", "reset"):
            run += happened == "restart"
            hits = misses = 0
        else:
            looks += more_looks
            hits, misses = hits + more_hits + more_looks, misses + more_misses
        found.append(
            Counters(
                at=at,
                run_id=str(run),
                jumped=happened == "clock",
                hits=hits,
                misses=misses,
                commands=hits + misses,
                evicted=0,
                expired=0,
                probed_hits=looks,
            )
        )
    return found


def totals(rows: list[Counters]) -> tuple[float, float]:
    spans = list(intervals(rows))
    return sum(span.hits for span in spans), sum(span.misses for span in spans)


def edges(rows: list[Counters]) -> list[tuple[float, float]]:
    return [(before.at, after.at) for before, after in pairwise(rows) if epoch_ends(before, after)]


@given(st.lists(STEPS, max_size=60))
def test_whatever_is_thinned_the_totals_and_edges_of_epochs_stay(steps: list):
    rows = readings(steps)
    before = totals(rows), edges(rows)
    for _step, coarser in pairwise([step for step, _age in LEVELS]):
        rows = [rows[place] for place in staying(rows, coarser)]
        assert (totals(rows), edges(rows)) == before


def test_one_of_each_stretch_stays():
    rows = readings([(5, 1, 0, 0, "")] * 120)
    assert len(list(staying(rows, 60))) <= 120 * 5 / 60 + 2


def test_a_server_that_restarts_over_and_over_leaves_no_more_than_so_many():
    rows = readings([(5, 1, 1, 0, "restart")] * 720)
    assert len(list(staying(rows, 3_600))) <= 3 * (thinning.MOST_OF_ONE + 1)


def store(rows: list[Counters], server: str = "s") -> None:
    ServerSample.objects.bulk_create(
        ServerSample(
            server=server,
            slot=slot_of(row.at),
            at=row.at,
            run_id=row.run_id,
            reading={
                "hits": row.hits,
                "misses": row.misses,
                "commands": row.commands,
                "evicted": 0,
                "expired": 0,
                "memory": None,
                "probes": [row.probed_hits, row.probed_misses],
                "jumped": row.jumped,
            },
        )
        for row in rows
    )


def stored(server: str = "s") -> list[Counters]:
    rows = ServerSample.objects.filter(server=server).order_by("at")
    return [counters_of(row.at, row.run_id, row.reading) for row in rows]


@pytest.mark.django_db
@settings(max_examples=25)
@given(st.lists(STEPS, min_size=1, max_size=60), st.lists(st.floats(0, 4 * DAY), min_size=1, max_size=6))
def test_rounds_at_any_time_keep_the_totals_in_the_database(steps: list, pauses: list[float]):
    ServerSample.objects.all().delete()
    rows = readings(steps)
    before = totals(rows), edges(rows)
    store(rows)
    now = rows[0].at
    for pause in pauses:
        now += pause
        thin(now)
        assert (totals(stored()), edges(stored())) == before


@pytest.mark.django_db
def test_a_month_of_samples_is_a_few_thousand_rows():
    store(readings([(600, 1, 1, 0, "")] * (39 * 144) + [(60, 1, 1, 0, "")] * 1_440))
    with CaptureQueriesContext(connection) as queries:
        while thin(NOW):
            pass
    left = ServerSample.objects.count()
    assert left <= 60 + 23 * 60 + 7 * 144 + 27 * 24 + 10
    assert min(ServerSample.objects.values_list("at", flat=True)) >= NOW - 35 * DAY
    longest = max(query["sql"].count(",") for query in queries if query["sql"].startswith(("DELETE", "UPDATE")))
    assert longest < thinning.CHUNK
    assert thin(NOW) == 0


@pytest.mark.django_db
def test_rounds_keep_up_with_what_comes():
    rows = readings([(5, 1, 1, 0, "")] * (4 * 720 - 1))
    for start in range(0, len(rows), 360):
        store(rows[start : start + 360])
        thin(rows[start + 359].at)
    assert ServerSample.objects.filter(step=5).count() <= 720 + 13
    assert 0 < ServerSample.objects.filter(step=60).count() <= 3 * 60 + 2


@pytest.mark.django_db
@pytest.mark.parametrize("jump", [-HOUR, DAY, -DAY])
def test_a_clock_that_jumps_deletes_no_history(jump: float):
    rows = readings([(60, 2, 1, 0, "")] * 300)
    store(rows)
    before = totals(rows)
    for moment in (rows[-1].at, rows[-1].at + jump, rows[-1].at):
        thin(moment)
    assert totals(stored()) == before
    assert stored()[0].at == rows[0].at


@pytest.mark.django_db
def test_servers_and_processes_that_are_gone_leave_nothing():
    old, new = NOW - 36 * DAY, NOW - DAY / 2
    for at in (old, new):
        ServerSample.objects.create(server=f"{at}", slot=SILENT, step=SILENT, at=at, run_id="", reading={"since": at})
        Lease.objects.create(name=f"{at}", owner="x", until=at)
        Probes.objects.create(server="s", process=f"{at}", hits=1, misses=1, at=at)
    assert thin(NOW) == 3
    for model in (ServerSample, Lease, Probes):
        assert model.objects.count() == 1


@pytest.mark.django_db
def test_one_process_thins_at_a_time(monkeypatch: pytest.MonkeyPatch):
    rounds: list[float] = []
    monkeypatch.setattr(thinning, "thin", rounds.append)
    for process in ("a", "b"):
        monkeypatch.setattr(leases, "_owner", process)
        thinning.forget()
        for _call in range(3):
            thinning.thin_now_and_then()
    assert len(rounds) == 1
    assert abs(rounds[0] - time.time()) < 60
    thinning.forget()

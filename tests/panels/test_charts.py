"""Charts as JSON, table and sparkline."""

from __future__ import annotations

import json

from cache_admin.monitoring.counters import Counters
from cache_admin.monitoring.history import fold
from cache_admin.monitoring.spans import SHORTEST
from cache_admin.panels.charts import Chart, Line, sparkline


def test_a_chart_and_its_table_hold_the_same_figures():
    readings = [
        Counters(at=880.0, run_id="a", hits=0, misses=0, commands=0, evicted=0, expired=0, memory=5),
        Counters(at=900.0, run_id="a", hits=9, misses=1, commands=100, evicted=0, expired=0, memory=5),
    ]
    history = fold([(True, readings)], 0.0, 900.0)
    chart = Chart.of(history, "percent", Line("Hit rate", history.hit_rate), top=100)
    data = json.loads(json.dumps(chart.json))
    assert len(data["labels"]) == SHORTEST.points
    assert data["series"][0]["values"][-2:] == [None, 90.0]
    (row,) = chart.rows
    assert row[1:] == ((0.9,), [])


def test_a_restart_is_marked_at_its_point():
    readings = [Counters(at=100.0, run_id="a", commands=1), Counters(at=450.0, run_id="b", commands=1)]
    history = fold([(True, readings)], 0.0, 900.0)
    (mark,) = Chart.of(history, "rate").json["marks"]
    assert (mark["at"], mark["kind"]) == (22, "restart")


def test_a_sparkline_breaks_at_gaps():
    assert sparkline((0.0, 1.0, None, 0.5), width=30, height=12) == ["0.0,11.0 10.0,1.0", "25.0,6.0 35.0,6.0"]
    assert sparkline((None, None)) == []

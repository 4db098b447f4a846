"""The ticker at the end of a process and in a child."""

from __future__ import annotations

import pytest

from cache_admin.monitoring import flushing, ticker
from cache_admin.monitoring.ticker import Job, Ticker


@pytest.fixture(autouse=True)
def connections_of_the_test_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticker has a thread of its own, and closes that one's."""
    monkeypatch.setattr(ticker, "close_old_connections", lambda: None)


@pytest.mark.parametrize("used", [True, False])
def test_the_end_waits_for_a_database_only_where_one_was_used(used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[float] = []
    monkeypatch.setattr(flushing, "flush", flushed.append)
    monkeypatch.setattr(ticker, "under_test", lambda: False)
    one = Ticker()
    if used:
        one.use_database()
    one.end()
    assert bool(flushed) is used


def test_a_failing_job_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken")

    one = Ticker()
    one.jobs = [Job(0, fail), Job(0, lambda: done.append("second"))]
    one.tick()
    one.tick()
    assert done == ["second", "second"]
    assert "broken" in caplog.text


def test_a_job_is_done_at_its_pace() -> None:
    done: list[str] = []
    one = Ticker()
    one.jobs = [Job(60, lambda: done.append("slow"))]
    for _ in range(5):
        one.tick()
    assert done == ["slow"]

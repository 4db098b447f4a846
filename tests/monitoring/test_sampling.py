"""Several processes, one reading per server and step; and everything that may go wrong between two readings."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from subprocess import Popen
from typing import Any

import pytest
import redis
from django.conf import settings as project
from django.db import connection
from embedded import Server, running

from cache_admin.adapters import redis_info
from cache_admin.adapters import servers as known_servers
from cache_admin.exceptions import Unavailable
from cache_admin.models import Lease, Probes, ServerSample
from cache_admin.monitoring import leases, sampler, samples
from cache_admin.monitoring.history import series
from cache_admin.monitoring.spans import SPANS

from . import elsewhere

Start = Callable[..., "Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts other processes on the test's database; they wait to be told to go."""
    with ExitStack() as stack:

        def begin(what: str, socket: object, *arguments: object) -> Popen[str]:
            process = elsewhere.start(what, connection.settings_dict["NAME"], socket, *arguments)
            stack.callback(elsewhere.end, process)
            assert elsewhere.lines(process) == ["ready"]
            return process

        yield begin


@pytest.fixture
def brief(settings: Any) -> Iterator[Server]:
    """A server of the test's own: the only one there is, behind ``default`` and ``core``."""
    with running() as server:
        known = project.CACHES
        settings.CACHES = {
            "default": {**known["default"], "LOCATION": f"{server.url}?db=0"},
            "core": {**known["core"], "LOCATION": f"{server.url}?db=1"},
        }
        yield server
        known_servers.forget()


@pytest.fixture
def client(brief: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(brief.url) as made:
        yield made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a hundredth of a second."""
    for module in (sampler, samples):
        monkeypatch.setattr(module, "STEP", 0.01)
    monkeypatch.setattr(redis_info, "INFO_SECONDS", 0)


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this process look like another one, which remembers nothing."""

    def become(name: str) -> None:
        monkeypatch.setattr(leases, "_owner", name)
        sampler.forget()
        known_servers.forget()

    return become


def infos(client: redis.Redis) -> int:
    """How often INFO was asked for, this time not counted."""
    return int(client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_fifty_pages_in_two_processes_are_one_info_per_step(brief: Server, client: redis.Redis, start: Start):
    processes = [start("poll", brief.socket, 25, 12) for _process in range(2)]
    before = infos(client)
    for process in processes:
        elsewhere.go(process)
    said = [elsewhere.lines(process)[0].split() for process in processes]
    asked = infos(client) - before - 1
    assert all(int(answers) > 25 * 10 and errors == "0" for answers, errors in said)
    assert 2 <= asked <= 3, "one at the start, and one after each whole step of five seconds"
    assert ServerSample.objects.count() == asked


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_when_the_process_that_samples_is_killed_another_one_does(
    brief: Server, start: Start, monkeypatch: pytest.MonkeyPatch
):
    holder, other = start("sample", brief.socket, 9), start("sample", brief.socket, 9)
    elsewhere.go(holder)
    assert elsewhere.lines(holder)[0].split() == ["1", "0"], "two aliases, one server"
    elsewhere.go(other)
    assert elsewhere.lines(other)[0].split() == ["0", "1"]
    elsewhere.end(holder)
    elsewhere.go(other)
    assert elsewhere.lines(other)[0].split() == ["0", "1"], "its time has not run out"
    Lease.objects.update(until=time.time() - 0.1)  # ten seconds later
    elsewhere.go(other)
    assert elsewhere.lines(other)[0].split() == ["1", "0"]
    assert ServerSample.objects.count() in (1, 2)


@pytest.mark.django_db
def test_a_page_asks_by_itself_when_the_process_that_samples_hangs(brief: Server, client: redis.Redis, another):
    another("holder")
    sampler.sample_all()
    another("page")
    before = infos(client)
    assert sampler.reading("default").primary.info is not None
    assert infos(client) - before == 1, "only this one"
    ServerSample.objects.update(at=time.time() - 2 * samples.STEP - 1)
    sampler.forget()
    known_servers.forget()
    assert abs(sampler.reading("default").primary.info.at - time.time()) < 2  # type: ignore[union-attr]
    assert infos(client) - before == 3
    assert Lease.objects.get(name__startswith="sample:").owner == "holder"


@pytest.mark.django_db
def test_every_alias_gets_the_keys_of_its_own_database_from_the_reading_of_another(client: redis.Redis, another):
    client.mset({"a": 1, "b": 2})
    another("holder")
    sampler.sample_all()
    another("page")
    said = {alias: sampler.reading(alias).primary.info for alias in ("default", "core")}
    assert {alias: info.keys for alias, info in said.items() if info} == {"default": 2, "core": 0}
    assert said["default"].latencies == said["core"].latencies != ()  # type: ignore[union-attr]


@pytest.mark.django_db
def test_silence_is_told_from_its_beginning_in_every_process(brief: Server, another, monkeypatch: pytest.MonkeyPatch):
    assert brief.process
    another("first")
    sampler.sample_all()
    os.kill(brief.process.pid, signal.SIGSTOP)
    try:
        known_servers.forget()
        (first,) = sampler.sample_all().taken
        assert isinstance(first.error, Unavailable)
        assert first.error.since is not None
        assert "not answering since" in str(first.error)
        Lease.objects.update(until=0.0)
        time.sleep(1.1)
        another("second")
        ServerSample.objects.filter(slot__gt=0).update(at=first.error.since - 60)
        second = sampler.reading("default").primary
        assert str(second.error) == str(first.error)
        assert second.info is not None, "the last good word"
    finally:
        os.kill(brief.process.pid, signal.SIGCONT)
    another("third")
    Lease.objects.update(until=0.0)
    answered = sampler.sample_all().taken[0]
    assert answered.error is None
    assert sampler.reading("default").primary.error is None


@pytest.mark.django_db
def test_a_new_silence_does_not_count_from_an_old_one(brief: Server, another):
    another("holder")
    brief.kill()
    (before,) = sampler.sample_all().taken
    brief.start()
    known_servers.forget()
    assert sampler.sample_all().taken[0].error is None
    time.sleep(1.1)
    brief.kill()
    known_servers.forget()
    (after,) = sampler.sample_all().taken
    assert isinstance(before.error, Unavailable)
    assert isinstance(after.error, Unavailable)
    assert (after.error.since or 0) >= (before.error.since or 0) + 1


@pytest.mark.django_db
@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.slug)
def test_a_reset_between_two_samples_is_a_gap(client: redis.Redis, quick: None, span):
    client.set("a", 1)
    for _reading in range(3):
        for _look in range(50):
            client.get("a")
            client.get("gone")
        assert sampler.sample_all().taken
        time.sleep(0.02)
        client.config_resetstat()
        client.get("a")
        assert sampler.sample_all().taken
        time.sleep(0.02)
    history = series(sampler.reading("default"), span)
    assert len(history.hit_rate) == len(history.at) == span.points
    assert history.restarts == ()
    assert history.recent.hit_rate is not None
    assert 0.4 < history.recent.hit_rate < 0.6
    for line in (history.operations, history.hit_rate):
        assert all(value is None or value >= 0 for value in line)


@pytest.mark.django_db
def test_the_looks_of_all_processes_are_taken_off(client: redis.Redis, quick: None, another):
    from cache_admin.adapters import adapter

    client.mset({f"shop:1:{number}": "x" for number in range(500)})
    another("sampling")
    sampler.sample_all()
    time.sleep(0.02)
    another("looking")
    for page in adapter("default").walk(lambda names: names):
        assert page.keys is not None
    client.get("shop:1:1")
    client.get("gone")
    assert sampler.sample_all().left, "the other one samples"
    assert Probes.objects.get().hits >= 500
    another("sampling")
    sampler.sample_all()
    history = series(sampler.reading("default"))
    assert history.recent.hit_rate == 0.5


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_locked_database_costs_history_and_little_time(brief: Server, monkeypatch: pytest.MonkeyPatch):
    connection.ensure_connection()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        reading = sampler.reading("default")
        assert time.monotonic() - began < 2.5
        assert reading.primary.info is not None
        assert "takes no samples now" in reading.history_off
        began = time.monotonic()
        monkeypatch.setattr(sampler, "STEP", 0.001)
        assert sampler.reading("default").primary.error is None
        assert sampler.sample_all().taken == ()
        assert time.monotonic() - began < 1.5
        other.execute("ROLLBACK")
    assert ServerSample.objects.count() == 0
    sampler.forget()
    assert sampler.reading("default").history_off == ""
    assert ServerSample.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("jump", [-3_600.0, 86_400.0])
def test_a_clock_that_is_set_is_a_gap_and_loses_nothing(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, jump: float
):
    monkeypatch.setattr(redis_info, "INFO_SECONDS", 0)
    clock, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + clock[0])
    steady = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: steady() + clock[0] - (jump if clock[0] and jumped else 0.0))
    jumped = False
    for _reading in range(4):
        client.get("gone")
        sampler.sample_all()
        clock[0] += samples.STEP
    kept = set(ServerSample.objects.values_list("at", flat=True))
    jumped = True
    clock[0] += jump
    for _reading in range(3):
        client.get("gone")
        sampler.sample_all()
        clock[0] += samples.STEP
    clock[0] -= samples.STEP
    assert kept <= set(ServerSample.objects.values_list("at", flat=True))
    said = sampler.reading("default")
    assert abs(said.primary.info.at - time.time()) < 2  # type: ignore[union-attr]
    history = series(said)
    assert [row["jumped"] for row in ServerSample.objects.order_by("pk").values_list("reading", flat=True)] == [
        *[False] * 4,
        True,
        False,
        False,
    ]
    rates = [value for value in history.operations if value is not None]
    assert rates
    assert all(0 <= value < 20 for value in rates)

"""What servers say of themselves beyond hits and memory, and what one process tells another of their silence."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
import redis
from django.utils import timezone

from cache_admin.adapters import redis_info, servers
from cache_admin.exceptions import Unavailable

from .conftest import MakeAlias, StartServer, failure, free_port

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _ask_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_info, "INFO_SECONDS", 0)


@pytest.mark.parametrize("program", ["", "redis-server"])
def test_one_info_tells_latencies_and_persistence_too(
    start: StartServer, make_alias: MakeAlias, request: pytest.FixtureRequest, program: str
) -> None:
    if program:
        request.getfixturevalue("redis_server_binary")
    server = start(prefer=program)
    it = make_alias(server.url)
    with redis.Redis.from_url(server.url) as client:
        client.set("k", 1)
        client.config_resetstat()
        client.get("k")
        info = it.info()
        assert client.info("commandstats")["cmdstat_info"]["calls"] == 1
    latency = next(one for one in info.latencies if one.command == "get")
    assert latency.p99
    assert latency.p99 > 0
    assert (info.saved, info.appended, info.loading, info.rejected) == (True, True, None, 0)
    assert (info.replicas, info.link_up, info.lag_seconds, info.lag_bytes) == (0, None, None, None)
    assert info.saved_at
    assert abs(info.saved_at - time.time()) < 60
    assert dict(info.keyspace) == {"0": 1}
    assert info.notes == ()


def test_an_old_server_is_asked_one_section_at_a_time(
    start: StartServer, make_alias: MakeAlias, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make_alias(start().url)
    server = servers.at(it._address())  # type: ignore[attr-defined]
    monkeypatch.setattr(redis_info, "_info", lambda server, link, ask=redis_info._info: ask(server, Old(link)))
    assert it.info().latencies == ()
    assert not server.latencies
    assert (it.info().memory or 0) > 0


class Old:
    """A link to a server that refuses more than one section, as those before Redis 7 do."""

    def __init__(self, link: object) -> None:
        self.link = link

    def call(self, *words: bytes) -> object:
        if len(words) > 2:
            raise redis.ResponseError("syntax error")
        return self.link.call(*words)  # type: ignore[attr-defined]


def test_replication_is_told_from_both_ends(start: StartServer, make_alias: MakeAlias) -> None:
    port = free_port()
    primary = start(port=port)
    replica = start(f"replicaof 127.0.0.1 {port}")
    it = make_alias([primary.url, replica.url])
    deadline = time.monotonic() + 15
    other_node = it.nodes()[1]
    while time.monotonic() < deadline:
        said, other = it.info(), it.info(other_node)
        if said.lag_seconds is not None and other.link_up:
            break
        time.sleep(0.1)
    assert said.replicas == 1
    assert said.lag_seconds is not None
    assert said.lag_seconds <= 2
    assert said.lag_bytes is not None
    assert (other.role, other.link_up) == ("replica", True)
    assert other.lag_seconds is not None


def test_a_slow_log_is_names_and_times_without_arguments(start: StartServer, make_alias: MakeAlias) -> None:
    server = start("slowlog-log-slower-than 0")
    it = make_alias(server.url)
    with redis.Redis.from_url(server.url) as client:
        client.set("session:secret", "value")
        client.config_set("slowlog-log-slower-than", -1)
    found = it.slow_log(5)
    assert 0 < len(found) <= 5
    entry = next(one for one in found if one.command == "set")
    assert "secret" not in repr(found)
    assert 0 <= entry.microseconds < 1_000_000
    assert abs(entry.at - time.time()) < 60
    with redis.Redis.from_url(server.url) as client:
        client.slowlog_reset()
    assert it.slow_log() == ()


class TestWhatAnotherProcessMet:
    def test_silence_counts_from_whoever_met_it_first(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        node = it.nodes()[0]
        server.kill()
        long_ago = time.time() - 600
        it.heard(node, silent_since=long_ago)
        for _call in range(2):  # of the server, and of the breaker
            error = failure(it.count, Unavailable)
            assert f"{clock(long_ago)}" in str(error)
            assert error.since == long_ago  # type: ignore[attr-defined]

    def test_a_silence_met_already_is_told_to_have_begun_earlier(
        self, start: StartServer, make_alias: MakeAlias
    ) -> None:
        server = start()
        it = make_alias(server.url)
        server.kill()
        failure(it.count, Unavailable)
        it.heard(it.nodes()[0], silent_since=time.time() - 600)
        assert clock(time.time() - 600)[:5] in str(failure(it.count, Unavailable))

    def test_an_answer_ends_an_older_silence(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        server.kill()
        failure(it.count, Unavailable)
        server.start()
        it.heard(it.nodes()[0], answered=time.time())
        assert it.count() == 0


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, tz=timezone.get_current_timezone()):%H:%M:%S}"


def test_own_looks_are_counted_on_over_a_reset(start: StartServer, make_alias: MakeAlias) -> None:
    server = start()
    it = make_alias(server.url)
    node = it.nodes()[0]
    it.exists("a")
    assert it.probed(node) == (0, 1)
    it.info()
    with redis.Redis.from_url(server.url) as client:
        client.config_resetstat()
    it.info()
    it.exists("a")
    assert it.probed(node) == (0, 2)

"""Findings about servers: their thresholds on made-up readings, and real servers that are full, replicate or stall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.core.cache import caches
from embedded import Server, running

from cache_admin.adapters import adapter
from cache_admin.adapters.server_info import Node, SlowCommand
from cache_admin.exceptions import Unavailable
from cache_admin.health import checking, looking
from cache_admin.health.facts import Stored
from cache_admin.health.finding import found_in, verdict
from cache_admin.models import ServerSample
from cache_admin.monitoring import flushing, instrument, sampler, samples
from cache_admin.monitoring.history import Recent
from cache_admin.monitoring.recorder import recorder
from cache_admin.monitoring.sampler import NodeReading, Reading
from tests.monitoring.conftest import info, reading

from .conftest import EMPTY, MB, NOW, found, of_server, one

pytestmark = pytest.mark.django_db

FRAGMENTED = "fragmented: takes 1.60 times the memory of its data"
GROWING = "no memory limit: 10.0\u00a0MB used, and the server may keep growing"


def used(megabytes: int, policy: str) -> dict[str, Any]:
    """Of a limit of 100 MB."""
    return {"memory": megabytes * MB, "memory_limit": 100 * MB, "policy": policy}


def evicting(rate: float) -> Any:
    return replace(EMPTY, recent=Recent(seconds=300, evictions=rate))


@pytest.mark.parametrize(
    ("fields", "history", "level", "text"),
    [
        (used(10, "allkeys-lru"), EMPTY, "good", "healthy"),
        (used(99, "allkeys-lru"), EMPTY, "good", "healthy"),
        (used(92, "allkeys-lru"), evicting(120), "warn", "memory 92\u00a0% of max, evicting 120 keys/s"),
        (used(92, "allkeys-lru"), evicting(0.04), "good", "healthy"),
        (used(97, "noeviction"), EMPTY, "bad", "noeviction at 97\u00a0% of max: writes will soon fail"),
        (used(88, "noeviction"), EMPTY, "warn", "noeviction at 88\u00a0% of max: nothing makes room"),
        (used(84, "noeviction"), EMPTY, "good", "healthy"),
        ({"memory": 10 * MB, "memory_limit": 0}, EMPTY, "warn", GROWING),
        ({"role": "replica"}, EMPTY, "warn", "is a replica: it takes no writes"),
        ({"clients": 95, "clients_limit": 100}, EMPTY, "warn", "95 of 100 connections in use"),
        ({"clients": 89, "clients_limit": 100}, EMPTY, "good", "healthy"),
        ({"answered_in": 2.9}, EMPTY, "warn", "answers slowly: 2.9\u00a0s"),
        ({"answered_in": 0.3}, EMPTY, "good", "healthy"),
        ({"loading": 0.41, "memory_limit": 0}, EMPTY, "bad", "loading dataset, 41 %"),
        ({"memory": None, "memory_limit": None}, EMPTY, "good", "healthy"),
        ({"memory": 200 * MB, "fragmentation": 1.6}, EMPTY, "warn", FRAGMENTED),
        ({"memory": 20 * MB, "fragmentation": 1.6}, EMPTY, "good", "healthy"),
        ({"memory": 200 * MB, "fragmentation": 1.4}, EMPTY, "good", "healthy"),
        ({"memory": 200 * MB, "fragmentation": 0.5}, EMPTY, "bad", "swapped: only 50\u00a0% of its data are in memory"),
        ({"link_up": False}, EMPTY, "bad", "this replica lost its primary"),
        ({"lag_seconds": 12.0, "lag_bytes": 5}, EMPTY, "warn", "a replica lags behind: reads from it are stale"),
        ({"lag_seconds": 1.0, "lag_bytes": 20 * MB}, EMPTY, "warn", "a replica lags behind: reads from it are stale"),
        ({"lag_seconds": 1.0, "lag_bytes": 500}, EMPTY, "good", "healthy"),
        ({"saved": False}, EMPTY, "bad", "the last snapshot failed: the server may refuse writes"),
        ({"appended": False}, EMPTY, "bad", "the last write to the append-only file failed"),
    ],
)  # fmt: skip
def test_the_verdict_on_a_reading(fields: dict[str, Any], history: Any, level: str, text: str) -> None:
    said = verdict(found_in(of_server(history, **fields)))
    assert (said.level, said.text) == (level, text)


def test_a_silent_server_is_the_worst() -> None:
    silent = reading(info(memory=1, memory_limit=0), Unavailable("default: not answering since 14:02:10."))
    said = found_in(replace(of_server(), reading=silent))
    assert [(finding.code, finding.text) for finding in said[:1]] == [("silent", "not answering since 14:02:10")]
    assert not [finding for finding in said if finding.kind == "no-limit"], "of old figures nothing is said"


def test_each_server_is_named_where_there_are_several() -> None:
    nodes = (
        NodeReading(Node(0, "one:6379"), "1", info(memory=1, memory_limit=0)),
        NodeReading(Node(1, "two:6379", primary=False), "2", None, Unavailable("default: refused.")),
    )
    said = found_in(replace(of_server(), reading=Reading("default", nodes)))
    assert [finding.text for finding in said][:2] == [
        "two:6379: refused",
        "one:6379: no memory limit: 1\u00a0byte used, and the server may keep growing",
    ]
    assert [finding.code for finding in said][:2] == ["silent:two:6379", "no-limit:one:6379"]


def test_an_answer_that_is_a_little_late_is_told_without_alarm() -> None:
    late = one("slow", of_server(answered_in=0.31))
    assert (late.level, late.text) == ("info", "answers slowly: 310\u00a0ms")
    assert late.evidence[0].startswith("the last command of this dashboard (INFO) ")
    assert found("slow", of_server(answered_in=0.2)) == found("slow", of_server()) == []


def test_refused_connections_are_told_when_they_are_of_the_last_hour() -> None:
    few = of_server(stored=Stored(rejected={"digest": 3}), clients=10, clients_limit=100)
    assert (one("connections", few).level, one("connections", few).text) == (
        "warn",
        "refused 3 connections in the last hour",
    )
    full = of_server(stored=Stored(rejected={"digest": 1}), clients=99, clients_limit=100)
    assert one("connections", full).level == "bad"
    assert found("connections", of_server(clients=10, clients_limit=100, rejected=50)) == []


def test_the_slow_log_counts_for_an_hour() -> None:
    entries = SlowCommand(NOW - 60, 250_000, "keys"), SlowCommand(NOW - 70, 12_000, "get")
    slow = replace(of_server(), slow={"digest": entries})
    told = one("slow-log", slow)
    assert told.level == "warn"
    assert told.text == "2 commands of the last hour are in the slow log"
    assert "slowest: keys, 250\u00a0ms" in told.evidence[0]
    assert one("slow-log", replace(slow, slow={"digest": entries[1:]})).level == "info"
    assert found("slow-log", replace(slow, slow={"digest": (SlowCommand(NOW - 4_000, 250_000, "keys"),)})) == []


@pytest.mark.parametrize(
    ("half_hours", "lookups", "level"),
    [
        ((*[0.9] * 11, 0.4), 1.0, "bad"),
        ((*[0.9] * 11, 0.7), 1.0, "warn"),
        ((*[0.9] * 11, 0.85), 1.0, None),
        ((*[0.9] * 11, 0.4), 0.1, None),
        ((*[None] * 8, 0.9, 0.9, 0.9, 0.4), 1.0, None),
        ((*[0.9] * 11, None), 1.0, None),
        ((), 1.0, None),
    ],
)
def test_the_servers_hit_rate_fell(half_hours: tuple[float, ...], lookups: float, level: str | None) -> None:
    recent = replace(EMPTY, recent=Recent(seconds=300, lookups=lookups))
    facts = of_server(recent, stored=Stored(half_hours=half_hours))
    assert [finding.level for finding in found("server-hit-rate", facts)] == ([level] if level else [])


class TestRealServers:
    def test_full_under_noeviction(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        client = redis.Redis.from_url(server.url)
        caches[alias].set_many({f"page:{i}": "x" * 10_000 for i in range(300)})
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(used * 1.02))
        client.close()
        health = checking.check(adapter(alias))
        assert health.verdict.level == "bad"
        assert health.findings[0].code == "full"
        assert "writes will soon fail" in health.verdict.text

    def test_evictions_and_sessions_beside_them(
        self, alias_on: Callable[..., tuple[str, Server]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sampler, "STEP", 0.05)
        alias, server = alias_on()
        client = redis.Redis.from_url(server.url)
        cache = caches[alias]
        cache.set("django.contrib.sessions.cacheabcdefghijklmnopqrstuvwxyz012345", {}, 3_600)
        cache.set_many({f"page:{i}": "x" * 10_000 for i in range(200)}, 3_600)
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
        before = sampler.reading(alias).primary
        _age_readings(20)
        cache.set_many({f"more:{i}": "x" * 10_000 for i in range(200)}, 3_600)
        cache.set("django.contrib.sessions.cacheabcdefghijklmnopqrstuvwxyz012345", {}, 3_600)
        time.sleep(1.1)
        health = checking.check(adapter(alias))
        client.close()
        codes = {finding.code: finding for finding in health.findings}
        assert before.info is not None
        assert "evicting" in codes["evicting"].text
        assert codes["sessions"].level == "bad"
        assert "people are logged out" in codes["sessions"].text

    def test_a_replica_that_lost_its_primary(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        client = redis.Redis.from_url(server.url)
        client.replicaof("127.0.0.1", 1)
        codes = [finding.code for finding in checking.check(adapter(alias)).findings]
        client.close()
        assert codes[0] == "replication"
        assert "replica" in codes

    def test_a_replica_that_stands_still_lags(self, settings: Any) -> None:
        with running(options=["enable-debug-command yes"]) as server, running() as follower:
            port = _listen(server)
            replica, primary = redis.Redis.from_url(follower.url), redis.Redis.from_url(server.url)
            replica.replicaof("127.0.0.1", port)
            _until(lambda: primary.info("replication").get("slave0", {}).get("state") == "online")
            entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": server.url}
            settings.CACHES = {**settings.CACHES, "own": entry}
            assert "replication" not in [finding.code for finding in checking.check(adapter("own")).findings]
            assert follower.process is not None
            follower.process.send_signal(19)
            try:
                primary.set("much", "x" * 12 * MB)
                _age_readings(20)
                sampler.forget()
                time.sleep(1.1)
                told = {finding.code: finding for finding in checking.check(adapter("own")).findings}["replication"]
            finally:
                follower.process.send_signal(18)
                primary.close()
                replica.close()
        assert told.text == "a replica lags behind: reads from it are stale"
        assert "12" in told.evidence[-1]

    def test_a_snapshot_that_fails(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        client = redis.Redis.from_url(server.url)
        client.set("a", 1)
        # A directory in its place: a file cannot be renamed over it, whoever runs the server.
        (server.directory / "dump.rdb").mkdir()
        client.bgsave()
        _until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        client.close()
        assert checking.check(adapter(alias)).findings[0].code == "persistence"

    def test_the_slow_log_of_the_server(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, _server = alias_on("slowlog-log-slower-than 0")
        caches[alias].set("a", "x" * 1_000)
        caches[alias].get("a")
        told = {finding.code: finding for finding in checking.check(adapter(alias)).findings}["slow-log"]
        assert "in the slow log" in told.text
        assert told.level == "info"
        assert "own:1:a" not in str(told), "arguments are keys and values"

    def test_refused_connections_since_an_hour(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        sampler.reading(alias)
        _age_readings(1_800)
        client = redis.Redis.from_url(server.url)
        client.config_set("maxclients", len(client.client_list()) + 1)
        with redis.Redis.from_url(server.url) as other, redis.Redis.from_url(server.url) as one_too_many:
            other.ping()
            with pytest.raises(redis.exceptions.RedisError):
                one_too_many.ping()
        client.config_set("maxclients", 100)
        client.close()
        sampler.forget()
        time.sleep(1.1)
        told = {finding.code: finding for finding in checking.check(adapter(alias)).findings}["connections"]
        assert told.text == "refused one connection in the last hour"

    def test_what_a_server_does_not_permit_is_a_note(self, settings: Any) -> None:
        with running() as server:
            client = redis.Redis.from_url(server.url)
            client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "~*", "+@all", "-slowlog", "-scan")
            client.close()
            location = f"unix://watcher:pw@{server.socket}"
            entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": location}
            settings.CACHES = {**settings.CACHES, "own": entry}
            facts = looking.look(adapter("own"))
        assert "not permitted: +slowlog" in " ".join(facts.notes)
        assert "not permitted: +scan" in " ".join(facts.notes)
        assert "pw" not in " ".join(facts.notes)


def _listen(server: Server) -> int:
    """The server's socket through a loopback port of ours would be another proxy; it opens one itself."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    client = redis.Redis.from_url(server.url)
    client.config_set("port", port)
    client.close()
    return port


def _age_readings(seconds: float) -> None:
    """As if the readings so far had been taken earlier."""
    at = time.time() - seconds
    ServerSample.objects.update(at=at, slot=int(at // samples.STEP))


def _until(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def recorded(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RECORDING": True}
    flushing.forget()
    with instrument.listening(recorder.record):
        yield
    flushing.forget()


class TestRealCounts:
    def test_keys_that_a_real_server_evicts_before_their_time(
        self, alias_on: Callable[..., tuple[str, Server]], recorded: None
    ) -> None:
        alias, server = alias_on("maxmemory-policy allkeys-random")
        client = redis.Redis.from_url(server.url)
        cache = caches[alias]
        cache.set_many({f"page:{i}": "x" * 10_000 for i in range(200)}, 3_600)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
        client.close()
        sampler.reading(alias)
        _age_readings(20)
        sampler.forget()
        for i in range(100):
            cache.set(f"more:{i}", "x" * 10_000, 3_600)
        missing = sum(cache.get(f"page:{i}") is None for i in range(200))
        assert missing > 30
        flushing.flush()
        time.sleep(1.1)
        codes = {finding.code: finding for finding in checking.check(adapter(alias)).findings}
        assert codes["early:page:*"].text == "keys of page:* are evicted before their time"
        assert codes["early:page:*"].evidence[0].startswith(f"{missing} of {missing} misses")

    def test_operations_that_fail_when_the_server_is_gone(
        self, alias_on: Callable[..., tuple[str, Server]], recorded: None
    ) -> None:
        alias, server = alias_on()
        caches[alias].set("page:1", 1)
        server.kill()
        for i in range(6):
            with pytest.raises(redis.exceptions.RedisError):
                caches[alias].get(f"page:{i}")
        flushing.flush()
        codes = {finding.code: finding for finding in checking.check(adapter(alias)).findings}
        assert codes["errors"].text == "cache operations of the application fail"
        assert codes["errors"].evidence[-1] == "most of them with page:*"
        assert "silent" in codes

"""What a scrape tells, against a real server and a real database, and what it leaves alone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from django.conf import settings as project
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from embedded import Server, running
from prometheus_client import CollectorRegistry

from cache_admin.adapters import servers
from cache_admin.keyspace import reports
from cache_admin.metrics import collector, families
from cache_admin.metrics.collector import CacheCollector
from cache_admin.models import CensusReport, ServerSample, Usage, UsageTotal
from cache_admin.monitoring import instrument, sampler
from cache_admin.monitoring.recorder import recorder


def calls(raw: redis.Redis) -> dict[str, int]:
    """How often each command was sent to the server so far."""
    return {name.removeprefix("cmdstat_"): said["calls"] for name, said in raw.info("commandstats").items()}


def test_counts_of_the_application(shop: None, scrape: Any) -> None:
    found = scrape()
    product = {"alias": "default", "pattern": "product:*"}
    assert [found(f"{name}_total", **product) for name in ("hits", "misses", "sets")] == [20, 20, 20]
    assert found("rebuilds_total", **product) == 20
    assert found("written_bytes_total", **product) == 2_000
    assert 0 < found("operation_seconds_total", **product) < 5
    assert found("misses_total", alias="core", pattern="menu") == 1
    assert found("recording_share") == 0.0, "the test project has it off"
    assert found.kinds["cache_admin_hits_total"] == "counter"


def test_the_counts_of_two_scrapes_differ_by_the_traffic_between(shop: None, scrape: Any, later: Any) -> None:
    product = {"alias": "default", "pattern": "product:*"}
    first = scrape()
    with instrument.listening(recorder.record):
        for _look in range(7):
            caches["default"].get("product:1")
    assert scrape()("hits_total", **product) == first("hits_total", **product), "a worker writes every five seconds"
    later(0)
    second = scrape()
    assert second("hits_total", **product) - first("hits_total", **product) == 7
    later(600)
    later(40 * 86_400)
    Usage.objects.all().delete()
    assert scrape().of("hits_total") == second.of("hits_total")


def test_what_servers_say(shop: None, raw: redis.Redis, server: Server, scrape: Any) -> None:
    found = scrape()
    (name,) = found.of("server_up")
    assert found("server_up", server=name) == 1
    said = raw.info()
    assert found("server_memory_limit_bytes", server=name) == said["maxmemory"]
    assert abs(found("server_memory_bytes", server=name) - said["used_memory"]) < 2_000_000
    assert abs(found("server_read_timestamp_seconds", server=name) - time.time()) < 30
    assert found("server_clients", server=name) >= 1
    assert found.kinds["cache_admin_server_evicted_keys_total"] == "counter"
    keys = {alias: found("keys", alias=alias, server=name) for alias in ("default", "core", "json")}
    assert keys == {"default": 20, "core": 0, "json": 20}
    infos = [dict(labels) for (metric, labels) in found.samples if metric == "cache_admin_server_info"]
    assert {info["alias"] for info in infos} == {"default", "core", "json"}
    assert {info["product"] for info in infos} == {"Valkey"}


def test_hits_of_a_server_do_not_depend_on_who_read_it(shop: None, raw: redis.Redis, scrape: Any) -> None:
    from cache_admin.adapters import adapter

    (name,) = scrape().of("server_up")
    for page in adapter("default").walk(lambda names: names):  # looks of this process, which its pages take off
        assert page.keys is not None
    sampler.forget()
    sampler.sample_all()
    found, said = scrape(), raw.info()
    assert sampler.reading("default").primary.info.probed_hits >= 20  # type: ignore[union-attr]
    assert found("server_hits_total", server=name) == said["keyspace_hits"]
    assert found("server_misses_total", server=name) == said["keyspace_misses"]


def test_what_is_stored_and_since_when(shop: None, scrape: Any) -> None:
    found = scrape()
    product = {"alias": "default", "pattern": "product:*", "complete": "true"}
    assert found("pattern_keys", **product) == 20
    assert found("pattern_bytes", **product) > 20 * 50, "compressed"
    assert abs(found("census_timestamp_seconds", alias="default", complete="true") - time.time()) < 60
    assert found("deploy_timestamp_seconds", deploy="v1") == 3_000.0, "the last time that it was deployed"
    assert found("deploy_timestamp_seconds", deploy="v2") == 2_000.0


def test_a_scrape_sends_nothing_to_a_server_that_is_read_anyway(shop: None, raw: redis.Redis, scrape: Any) -> None:
    sampler.forget()
    sampler.sample_all()
    before = calls(raw)
    for _scrape in range(5):
        scrape()
    after = calls(raw)
    sent = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert sent == {"info": 1}, "the one of this test"


def test_a_scrape_asks_the_database_a_bounded_number_of_times(shop: None, scrape: Any, later: Any) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            scrape()
        return len([one for one in queries if "FROM" in one["sql"]])

    scrape()
    few = statements()
    with instrument.listening(recorder.record):
        for name in range(200):
            caches["default"].get(f"{chr(97 + name % 26)}{chr(97 + name // 26)}:x")
    later(300)
    assert statements() == few <= 3 + len(project.CACHES)


def test_the_number_of_series_is_bounded(shop: None, scrape: Any, later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_PATTERNS", 3)
    with instrument.listening(recorder.record):
        for name in range(290):
            caches["default"].set(f"{chr(97 + name % 26)}{chr(97 + name // 26)}:x", "y" * name)
    later(300)
    found = scrape()
    told = [labels for labels in found.of("sets_total") if labels.startswith("default ")]
    assert len(told) == 101
    assert sum(v for k, v in found.of("sets_total").items() if k.startswith("default ")) == 290 + 20
    assert found("sets_total", alias="default", pattern="other") > 100
    from cache_admin.adapters import adapter
    from cache_admin.keyspace.census import sample

    CensusReport.objects.all().delete()
    reports.save(sample(adapter("default"), 1_000))
    keys = scrape().of("pattern_keys")
    assert len(keys) == 4
    assert sum(keys.values()) == 310


@pytest.mark.parametrize("accept", ["text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"])
def test_hostile_names_are_labels_like_others(raw: redis.Redis, db: None, scrape: Any, later: Any, accept: str) -> None:
    names = ['quote"{}=\n', "back\\slash", "\u202eright", "emoji \U0001f600", "other", "", "a*b", "\udcff"]
    for name in names:
        recorder.record("locmem", "miss", (name,), 0.0)
    later(300)
    found = scrape(accept).of("misses_total")
    assert sum(found.values()) == len(names)
    assert len(found) == len(names) - 1, "the empty name counts as other"


@pytest.fixture
def own(settings: Any) -> Iterator[Server]:
    """A server of the test's own behind all aliases."""
    with running() as server:
        location = {"LOCATION": f"{server.url.replace('unix://', 'unix://user:hunter2@')}?db=0"}
        core = {"LOCATION": server.url}
        settings.CACHES = {
            "default": {**project.CACHES["default"], **location},
            "core": {**project.CACHES["core"], **core},
            "locmem": project.CACHES["locmem"],
        }
        yield server
    servers.forget()


@pytest.mark.django_db
def test_a_server_that_is_stopped_is_down_and_nothing_else_is_told_of_it(own: Server, scrape: Any) -> None:
    redis.Redis.from_url(own.url).execute_command("ACL", "SETUSER", "user", "on", ">hunter2", "+@all", "~*")
    sampler.sample_all()
    assert set(scrape().of("server_up").values()) == {1}
    own.kill()
    sampler.forget()
    servers.forget()
    assert set(scrape().of("server_up").values()) == {1}, "as it was read last, within two steps"
    ServerSample.objects.update(at=time.time() - 60)
    sampler.forget()
    began = time.monotonic()
    found = scrape()
    assert time.monotonic() - began < 3
    assert set(found.of("server_up").values()) == {0}
    assert {name for name in found.names if "server" in name or name == "cache_admin_keys"} == {"cache_admin_server_up"}
    assert found("database_up") == 1
    assert "hunter2" not in str(found.samples)


@pytest.mark.django_db
def test_a_server_that_starts_again_is_told_again_with_its_new_counters(own: Server, scrape: Any) -> None:
    client = redis.Redis.from_url(own.url)
    client.execute_command("ACL", "SETUSER", "user", "on", ">hunter2", "+@all", "~*")
    for _look in range(30):
        client.get("gone")
    sampler.sample_all()
    (before,) = set(scrape().of("server_misses_total").values())
    own.kill()
    own.start()
    sampler.forget()
    servers.forget()
    redis.Redis.from_url(own.url).execute_command("ACL", "SETUSER", "user", "on", ">hunter2", "+@all", "~*")
    sampler.sample_all()
    found = scrape()
    (after,) = set(found.of("server_misses_total").values())
    assert (before, after) == (30, 0)
    assert set(found.of("server_up").values()) == {1}


@pytest.mark.django_db
def test_a_failure_of_another_kind_costs_only_its_alias(
    raw: redis.Redis, scrape: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    reading = sampler.reading

    def failing(alias: str) -> Any:
        if alias == "default":
            raise RuntimeError("of another kind")
        return reading(alias)

    monkeypatch.setattr(sampler, "reading", failing)
    assert set(scrape().of("server_up").values()) == {1}
    assert "could not be told" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_locked_database_is_no_failure(shop: None, scrape: Any) -> None:
    before = scrape()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        sampler.forget()
        began = time.monotonic()
        found = scrape()
        assert time.monotonic() - began < 5
        other.execute("ROLLBACK")
    assert set(found.of("server_up").values()) == {1}
    assert found.of("hits_total") == before.of("hits_total"), "readers of this database do not wait for writers"


def test_without_its_tables_servers_are_told(shop: None, scrape: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {UsageTotal._meta.db_table} RENAME TO gone")
    found = scrape()
    assert found("database_up") == 0
    assert found.of("hits_total") == {}
    assert set(found.of("server_up").values()) == {1}


def test_other_aliases_than_those_shown_are_not_told(shop: None, scrape: Any, settings: Any) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "ALIASES": ["core"]}
    found = scrape()
    assert {dict(labels)["alias"] for _name, labels in found.samples if "alias" in dict(labels)} == {"core"}


def test_a_registry_of_the_project_may_take_the_collector(shop: None) -> None:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(CacheCollector())
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(CacheCollector())
    only = registry.restricted_registry(["cache_admin_database_up"])
    assert [family.name for family in only.collect()] == ["cache_admin_database_up"]


def test_everything_that_is_documented_as_exported_is(shop: None, scrape: Any) -> None:
    counters = {f"cache_admin_{family.name}_total" for family in families.ALL if family.counter}
    gauges = {f"cache_admin_{family.name}" for family in families.ALL if not family.counter}
    # A server of this kind, without replicas or clients that were refused, tells no lag.
    assert counters | gauges - scrape().names <= {"cache_admin_server_replication_lag_seconds"} | counters
    assert scrape().names <= counters | gauges

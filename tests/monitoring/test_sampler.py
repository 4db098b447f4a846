"""Readings of a real server, and what is stored of them."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from django.db import DatabaseError, connection
from embedded import Server, running

from cache_admin.adapters import adapter
from cache_admin.adapters import servers as known_servers
from cache_admin.adapters.server_info import Node
from cache_admin.exceptions import Unavailable, Unsupported
from cache_admin.models import ServerSample
from cache_admin.monitoring import sampler, samples
from cache_admin.monitoring.history import series


def infos(raw: redis.Redis) -> int:
    return int(raw.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"])


@pytest.mark.django_db
def test_fifty_polls_are_one_info_and_one_sample(raw: redis.Redis):
    known_servers.forget()
    before = infos(raw)
    for _poll in range(50):
        sampler.reading("default")
    assert infos(raw) - before <= 2  # the other one asked for these statistics
    assert ServerSample.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_simultaneous_cards_wait_for_one_reading(raw: redis.Redis):
    known_servers.forget()
    before = infos(raw)

    def poll() -> None:
        sampler.reading("default")
        connection.close()

    threads = [threading.Thread(target=poll) for _card in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert infos(raw) - before <= 2


@pytest.mark.django_db
def test_another_process_adds_no_second_sample_to_a_slot(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samples, "STEP", 3_600.0)
    for _process in range(3):
        sampler.forget()
        sampler.sample_all()
    assert ServerSample.objects.count() == 1


@pytest.mark.django_db
def test_samples_hold_no_address(raw: redis.Redis, server: Server):
    sampler.reading("default")
    (row,) = ServerSample.objects.values()
    assert str(server.socket) not in str(row)
    assert len(row["server"]) == 64


@pytest.mark.django_db
def test_a_silent_server_keeps_its_last_word_in_every_process(settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampler, "STEP", 0.001)
    with running() as gone:
        settings.CACHES = {
            **settings.CACHES,
            "brief": {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": gone.url},
        }
        said = sampler.reading("brief").primary.info
        assert said is not None
        gone.kill()
        sampler.forget()
        known_servers.forget()
        silent = sampler.reading("brief").primary
    assert isinstance(silent.error, Unavailable)
    assert silent.info is not None
    assert (silent.info.run_id, silent.info.memory) == (said.run_id, said.memory)


@pytest.mark.django_db
def test_a_restart_begins_a_new_epoch(settings, monkeypatch: pytest.MonkeyPatch):
    for module in (sampler, samples):
        monkeypatch.setattr(module, "STEP", 0.01)
    with running() as server:
        settings.CACHES = {
            **settings.CACHES,
            "brief": {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": server.url},
        }
        for _reading in range(2):
            sampler.reading("brief")
            time.sleep(1.1)  # an adapter asks once a second
        server.kill()
        server.start()
        known_servers.forget()
        sampler.reading("brief")
        history = series(sampler.reading("brief"))
    assert len(history.restarts) == 1
    assert all(value is None or value >= 0 for value in history.operations)


@pytest.mark.django_db
def test_a_refusing_database_leaves_the_reading(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise DatabaseError("database is locked")

    monkeypatch.setattr(ServerSample.objects, "create", refuse)
    reading = sampler.reading("default")
    assert reading.primary.info is not None
    history = series(reading)
    assert not history.known
    assert "History is off" in history.note


@pytest.mark.django_db
def test_a_missing_table_is_told(raw: redis.Redis):
    reading = sampler.reading("default")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {ServerSample._meta.db_table} RENAME TO gone")
    assert "tables are missing" in series(reading).note


@pytest.mark.parametrize("alias", ["locmem", "dummy"])
def test_a_cache_without_servers_says_so(alias: str):
    with pytest.raises(Unsupported):
        sampler.reading(alias)


def test_the_digest_tells_servers_apart():
    node = adapter("default").nodes()[0]
    assert sampler.server_id(node) == sampler.server_id(adapter("core").nodes()[0])
    assert sampler.server_id(node) != sampler.server_id(Node(0, "cache.example:6379"))


@pytest.mark.django_db
def test_aliases_on_one_server_share_its_samples_but_not_its_keys(raw: redis.Redis):
    raw.set("a", 1)
    assert sampler.reading("default").primary.info.keys == 1
    assert sampler.reading("core").primary.info.keys == 0
    assert ServerSample.objects.count() == 1

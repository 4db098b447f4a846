"""Servers that answer, but not with what was asked for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import redis
from django.core.cache import caches

from cache_admin.adapters.errors import judge
from cache_admin.exceptions import Unavailable, Unsupported, WriteRefused

from .conftest import PASSWORD, MakeAlias, StartServer, failure

pytestmark = pytest.mark.servers


class TestRefusals:
    @pytest.mark.parametrize("given", ["", "wrong-"])
    def test_rejected_credentials(self, start: StartServer, make_alias: MakeAlias, given: str) -> None:
        server = start(f"requirepass {PASSWORD}")
        options = {"password": given + PASSWORD} if given else {}
        it = make_alias(server.url, **options)
        for call in (it.count, it.info, lambda: it.delete([b"k"])):
            assert "credentials rejected" in str(failure(call, Unavailable))
        assert make_alias(server.url, password=PASSWORD).count() == 0

    def test_a_busy_script(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start("lua-time-limit 50")
        it = make_alias(server.url)
        it.count()

        def spin() -> None:
            with redis.Redis.from_url(server.url, retry=None) as client, pytest.raises(redis.ResponseError):
                client.eval("while true do end", 0)

        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.2)
        try:
            assert "busy with a script" in str(failure(it.count, Unavailable))
            assert "busy with a script" in str(failure(lambda: list(it.walk(lambda names: ())), Unavailable))
        finally:
            with redis.Redis.from_url(server.url) as client:
                client.script_kill()
            thread.join()
        assert it.count() == 0

    def test_no_free_connections(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start("maxclients 1")
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.ping()
            assert "no free connections" in str(failure(it.count, Unavailable))

    def test_a_replica_takes_no_writes(self, start: StartServer, make_alias: MakeAlias) -> None:
        it = make_alias(start("replicaof 127.0.0.1 1").url)
        for call in (lambda: it.delete([b"k"]), lambda: it.expire({b"k": 1000})):
            assert "connected to a replica; nothing was changed" in str(failure(call, WriteRefused))

    def test_a_replica_without_primary(self, start: StartServer, make_alias: MakeAlias) -> None:
        it = make_alias(start("replicaof 127.0.0.1 1", "replica-serve-stale-data no").url)
        assert "lost its primary" in str(failure(it.scan, Unavailable))
        assert "this replica lost its primary" in it.info().notes

    def test_too_few_replicas(self, start: StartServer, make_alias: MakeAlias) -> None:
        it = make_alias(start("min-replicas-to-write 1").url)
        assert "too few replicas" in str(failure(lambda: it.delete([b"k"]), WriteRefused))

    def test_a_failing_snapshot(self, start: StartServer, make_alias: MakeAlias, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        server = start("save 3600 1", f"dir {gone}")
        gone.rmdir()
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.set("k", 1)
            client.bgsave()
            while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
                time.sleep(0.01)
        assert "snapshot failing" in str(failure(lambda: it.delete([b"k"]), WriteRefused))
        assert "the last snapshot failed" in it.info().notes
        server.kill()  # asked politely, it would insist on a snapshot

    def test_full_memory_does_not_stop_deletes(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start("maxmemory-policy noeviction")
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.set("k", "v")
            client.config_set("maxmemory", 1)
            with pytest.raises(redis.exceptions.OutOfMemoryError) as full:
                client.set("other", "v")
        assert judge(full.value).kind is WriteRefused
        assert it.delete([b"k"]).keys == 1

    def test_loading(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start("key-load-delay 200", "loading-process-events-interval-bytes 1024")
        with redis.Redis.from_url(server.url) as client:
            client.mset({f"k{i}": "v" * 100 for i in range(20_000)})
            client.save()
        server.kill()
        server.start()
        it = make_alias(server.url, timeout=2)
        assert "loading its dataset" in str(failure(it.count, Unavailable))
        assert any(note.startswith("loading dataset, ") for note in it.info().notes)

    def test_without_unlink_large_collections_stay(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start('rename-command UNLINK ""')
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.set("string", "x" * 200_000)
            client.sadd("small", 1, 2)
            client.sadd("large", *range(20_000))
            removed = it.delete([b"string", b"small", b"large", b"gone"])
            assert client.keys() == [b"large"]
        assert removed.keys == 2
        assert removed.size > 200_000
        assert "1 large collections were left" in removed.notes[0]

    def test_without_scan_exact_keys_are_still_found(self, start: StartServer, make_alias: MakeAlias) -> None:
        it = make_alias(start('rename-command SCAN ""').url)
        caches["mine"].set("k", 1)
        for call in (it.scan, lambda: list(it.walk(lambda names: ()))):
            assert "listing not available" in str(failure(call, Unsupported))
        assert it.exists("k")
        assert it.key_info(it.codec.raw("k")).type == "string"

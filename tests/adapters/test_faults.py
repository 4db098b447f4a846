"""What must not break it: each fault on a real server of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.core.cache import caches

from cache_admin.adapters import Adapter, servers
from cache_admin.adapters.errors import judge
from cache_admin.exceptions import CacheAdminError, NotPermitted, Unavailable, Unsupported, WriteRefused

from .conftest import PASSWORD, MakeAlias, StartServer, failure, free_port
from .proxy import Proxy

pytestmark = pytest.mark.servers


def seconds(started: float) -> float:
    return time.monotonic() - started


class TestSilence:
    def test_a_hung_server_is_reported_at_once_and_recovers(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        assert it.count() == 0
        assert server.process
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            first = failure(it.count, Unavailable)
            assert "not answering since" in str(first)
            assert seconds(started) < 2
            started = time.monotonic()
            for call in (it.count, it.info, it.scan, lambda: next(it.walk(lambda names: ()))):
                assert str(failure(call, Unavailable)) == str(first)
            assert seconds(started) < 0.2
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        while True:
            try:
                assert it.count() == 0
                break
            except Unavailable:
                assert seconds(started) < 10
                time.sleep(0.1)

    def test_a_second_alias_on_the_hung_server_does_not_wait_again(
        self, start: StartServer, make_alias: MakeAlias
    ) -> None:
        server = start()
        one = make_alias(f"{server.url}?db=1")
        assert server.process
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            failure(one.count, Unavailable)
            assert servers.at(one._address()) is servers.at(  # type: ignore[attr-defined]
                type(one._address()).of(f"{server.url}?db=5", {})  # type: ignore[attr-defined]
            )
        finally:
            os.kill(server.process.pid, signal.SIGCONT)

    def test_a_killed_server_refuses_at_once(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        it.count()
        server.kill()
        started = time.monotonic()
        assert "refused connection" in str(failure(it.count, Unavailable))
        assert seconds(started) < 1

    def test_a_paused_server_does_not_pile_up_connections(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        it.count()
        with redis.Redis.from_url(server.url) as client:
            client.client_pause(1500, all=True)
            started = time.monotonic()
            threads = [threading.Thread(target=lambda: pytest.raises(Unavailable, it.count)) for _i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert seconds(started) < 3
            time.sleep(max(0.0, 1.6 - seconds(started)))
            assert sum(one["name"] == "cache-admin" for one in client.client_list()) <= 2

    def test_a_black_hole_is_left_alone(self, proxied: tuple[Proxy, Adapter]) -> None:
        proxy, it = proxied
        proxy.silent = True
        started = time.monotonic()
        assert "not answering since" in str(failure(it.count, Unavailable))
        opened = proxy.opened
        for _i in range(20):
            failure(it.count, Unavailable)
        assert seconds(started) < 3
        assert proxy.opened == opened

    def test_an_unknown_host_is_named_as_such(self, make_alias: MakeAlias) -> None:
        it = make_alias(f"redis://:{PASSWORD}@no-such-host.invalid:6379/0")
        assert "host not found" in str(failure(it.count, Unavailable))


@pytest.fixture
def proxied(start: StartServer, make_alias: MakeAlias, tmp_path: Path) -> Iterator[tuple[Proxy, Adapter]]:
    server = start()
    proxy = Proxy(tmp_path, server.socket)
    yield proxy, make_alias(f"unix://{proxy.path}")
    proxy.close()


class TestCutConnections:
    def test_nobody_gets_the_rest_of_a_cut_reply(self, proxied: tuple[Proxy, Adapter]) -> None:
        proxy, it = proxied
        with redis.Redis(unix_socket_path=str(proxy.target)) as client:
            client.set("one", b"1" * 60_000)
            client.set("two", b"2" * 60_000)
        for damage in ("cut", "silent"):
            assert it.read(b"two").data == b"2" * 60_000
            if damage == "cut":
                proxy.cut_after = 3
            else:
                proxy.silent = True
            failure(lambda: it.read(b"one"), Unavailable)
            proxy.silent, proxy.cut_after = False, None
            servers.at(it._address())._retry_at = 0.0  # type: ignore[attr-defined]
            assert it.read(b"two").data == b"2" * 60_000

    def test_a_listing_cut_in_the_middle_goes_on_over_one_new_connection(self, proxied: tuple[Proxy, Adapter]) -> None:
        proxy, it = proxied
        with redis.Redis(unix_socket_path=str(proxy.target)) as client:
            client.mset({f"k{i}": i for i in range(3000)})
        seen: set[bytes] = set()
        chosen = 0

        def choose(names: object) -> tuple[()]:
            nonlocal chosen
            chosen += 1
            if chosen == 2:
                proxy.cut_after = 100
            return ()

        pages = 0
        for page in it.walk(choose):
            pages += 1
            seen.update(page.keys)
            assert all(page.sizes)
        assert len(seen) == 3000
        assert chosen == pages
        assert proxy.opened == 2

    def test_a_killed_connection_is_replaced(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.mset({f"k{i}": i for i in range(3000)})
            walk = it.walk(lambda names: ())
            seen = set(next(walk).keys)
            client.client_kill_filter(_type="normal", skipme=True)
            for page in walk:
                seen.update(page.keys)
                client.client_kill_filter(_type="normal", skipme=True)
            assert len(seen) == 3000
            assert it.count() == 3000

    def test_a_walk_does_not_go_on_in_another_server_process(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        with redis.Redis.from_url(server.url) as client:
            client.mset({f"k{i}": i for i in range(3000)})
        before = it.info()
        walk = it.walk(lambda names: ())
        first = next(walk)
        server.kill()
        server.start()
        assert "restarted" in str(failure(lambda: next(walk), Unavailable))
        page = next(it.walk(lambda names: (), cursor=first.cursor, run_id=first.run_id))
        assert page.run_id != first.run_id
        assert (page.cursor, page.keys) == (0, [])
        time.sleep(max(0.0, 1 - (time.time() - before.at)))
        assert it.info().run_id == page.run_id

    def test_both_connections_in_use_is_said(
        self, start: StartServer, make_alias: MakeAlias, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(servers, "QUEUE", 0.05)
        it = make_alias(start().url)
        with it._link(), it._link():  # type: ignore[attr-defined]
            assert "in use" in str(failure(it.count, Unavailable))
        assert it.count() == 0

    def test_a_forked_process_opens_connections_of_its_own(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        it.count()
        child = os.fork()
        if not child:
            os._exit(0 if it.count() == 0 and it.count() == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert it.count() == 0


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


class TestPermissions:
    """One command denied at a time: what it costs, and that the rest works."""

    SAID = {
        "scan": {"scan": "scan", "walk": "scan"},
        "memory": {"key_info": "note", "walk": "unmeasured", "delete": "unmeasured", "window": "note"},
        "info": {"info": "info"},
        "type": {"key_info": "note", "read": "type", "window": "type"},
        "pttl": {"key_info": "note", "walk": "unprobed"},
        "getrange": {"read": "getrange"},
        "strlen": {"key_info": "note", "read": "note"},
        "hlen": {"window": "note"},
        "hscan": {"window": "hscan"},
        "unlink": {"delete": "unlink"},
        "pexpire": {"expire": "pexpire"},
        "dbsize": {"count": "dbsize"},
        "exists": {"exists": "exists"},
        "object": {"key_info": "note"},
        "select": dict.fromkeys(
            ("scan", "walk", "count", "info", "key_info", "read", "window", "delete", "expire", "exists"), "select"
        ),
    }
    HARMLESS = ("ping", "client", "config", "slowlog", "latency", "cluster", "hello")

    @pytest.fixture(scope="class")
    @classmethod
    def guarded(cls) -> Iterator[redis.Redis]:
        from embedded import running

        with running() as server, redis.Redis(unix_socket_path=str(server.socket), db=3) as client:
            yield client

    @pytest.mark.parametrize("command", [*SAID, *HARMLESS])
    def test_a_denied_command_costs_only_what_needs_it(
        self, guarded: redis.Redis, make_alias: MakeAlias, command: str
    ) -> None:
        path = guarded.connection_pool.connection_kwargs["path"]
        guarded.flushdb()
        guarded.execute_command("ACL", "SETUSER", command, "reset", "on", f">{PASSWORD}", "~*", "+@all", f"-{command}")
        it = make_alias(f"unix://{path}?db=3", username=command, password=PASSWORD)
        guarded.set("k", "v", ex=100)
        guarded.hset("h", "field", "value")
        calls = {
            "scan": lambda: it.scan() and "",
            "walk": lambda: self._walk(it),
            "count": lambda: it.count() and "",
            "info": lambda: it.info() and "",
            "key_info": lambda: self._noted(it.key_info(b"k").notes, command),
            "read": lambda: self._noted(it.read(b"k").notes, command),
            "window": lambda: self._noted(it.read(b"h").notes, command),
            "expire": lambda: it.expire({b"k": 90_000}) and "",
            "exists": lambda: "" if not it.exists("k") else "found",
            "delete": lambda: "" if it.delete([b"k"]).measured else "unmeasured",
        }
        outcomes = {}
        for name, call in calls.items():
            try:
                outcomes[name] = call()
            except NotPermitted as error:
                assert f"not permitted: +{error.command}" in str(error)
                assert PASSWORD not in str(error)
                outcomes[name] = error.command
        assert {name: said for name, said in outcomes.items() if said} == self.SAID.get(command, {})

    def _walk(self, it: Adapter) -> str:
        (page,) = it.walk(lambda names: names)
        assert page.total == 2
        assert set(page.keys) == {b"k", b"h"}
        if not page.probes:
            return "unprobed"
        return "unmeasured" if page.sizes == [None, None] else ""

    def _noted(self, notes: tuple[str, ...], command: str) -> str:
        assert notes in ((), (f"not permitted: +{command}",))
        return "note" if notes else ""

    def test_foreign_keys_out_of_bounds_are_listed_without_size(
        self, guarded: redis.Redis, make_alias: MakeAlias
    ) -> None:
        path = guarded.connection_pool.connection_kwargs["path"]
        guarded.flushdb()
        guarded.execute_command("ACL", "SETUSER", "bound", "reset", "on", f">{PASSWORD}", "~mine:*", "+@all")
        it = make_alias(f"unix://{path}?db=3", username="bound", password=PASSWORD)
        guarded.mset({"mine:1:k": 1, "foreign": 1})
        (page,) = it.walk(lambda names: names)
        sizes = dict(zip(page.keys, page.sizes, strict=True))
        assert sizes[b"foreign"] is None
        assert sizes[b"mine:1:k"]
        assert set(page.probes) == {b"mine:1:k"}
        assert "not permitted: this key" in it.key_info(b"foreign").notes
        failure(lambda: it.delete([b"foreign"]), NotPermitted)


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        if not shutil.which("openssl"):
            pytest.skip("needs openssl")
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=elsewhere"
        pem = tmp_path / "both.pem"
        subprocess.run([*command.split(), "-keyout", pem, "-out", tmp_path / "c.pem"], check=True, capture_output=True)
        pem.write_bytes(pem.read_bytes() + (tmp_path / "c.pem").read_bytes())
        return pem

    @pytest.fixture
    def tls_port(self, certificate: Path) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    near, _address = listener.accept()
                except OSError:
                    return
                with near:
                    near.settimeout(2)
                    try:
                        context.wrap_socket(near, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()

    def test_a_bad_certificate_is_named_in_words(self, make_alias: MakeAlias, tls_port: int, certificate: Path) -> None:
        location = f"rediss://:{PASSWORD}@127.0.0.1:{tls_port}/0"
        assert "self-signed" in str(failure(make_alias(location, timeout=2).count, Unavailable))
        trusted = make_alias(location, timeout=2, ssl_ca_certs=str(certificate))
        assert "certificate is for another" in str(failure(trusted.count, Unavailable))

    def test_an_expired_certificate_is_named_in_words(self) -> None:
        cause = ssl.SSLCertVerificationError("certificate verify failed")
        cause.verify_code = 10
        error = redis.ConnectionError(f"Error 1 connecting with {PASSWORD}")
        error.__context__ = cause
        assert "its certificate has expired" in str(judge(error).error("mine", 0))

    def test_tls_to_a_plain_port(self, start: StartServer, make_alias: MakeAlias) -> None:
        port = free_port()
        start(port=port)
        it = make_alias(f"rediss://127.0.0.1:{port}/0")
        assert "no TLS handshake since" in str(failure(it.count, Unavailable))

    def test_something_else_behind_the_port(self, tls_port: int, make_alias: MakeAlias) -> None:
        failure(make_alias(f"redis://127.0.0.1:{tls_port}/0").count, CacheAdminError)

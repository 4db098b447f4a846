"""Servers and networks that fall silent, break off or come back changed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from cache_admin.adapters import Adapter, servers
from cache_admin.exceptions import Unavailable

from .conftest import PASSWORD, MakeAlias, StartServer, failure
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
            threads = [threading.Thread(target=failure, args=(it.count, Unavailable)) for _i in range(8)]
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
            pages += bool(page.keys)
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

    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_a_forked_process_opens_connections_of_its_own(self, start: StartServer, make_alias: MakeAlias) -> None:
        server = start()
        it = make_alias(server.url)
        it.count()
        child = os.fork()
        if not child:
            os._exit(0 if it.count() == 0 and it.count() == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert it.count() == 0


def test_a_slow_server_is_asked_for_less_at_once_and_for_more_when_it_recovers(
    proxied: tuple[Proxy, Adapter],
) -> None:
    proxy, it = proxied
    with redis.Redis(unix_socket_path=str(proxy.target)) as client:
        client.mset({f"key:{i}": i for i in range(30_000)})
    lengths = []
    with closing(it.walk(lambda names: ())) as pages:
        for number, page in enumerate(pages):
            lengths.append(len(page.keys))
            proxy.delay = 0.3 if 2 <= number < 5 else 0.0
    assert max(lengths[:4]) >= 1_000
    assert min(lengths) < 400
    assert max(lengths[lengths.index(min(lengths)) :]) >= 1_000
    assert sum(lengths) >= 30_000

"""Servers that are in trouble, provoked for real: each of these yields the LOCATION of one.

A server holds ``KEYS`` keys of the prefix "shop". Whatever password there is, is ``PASSWORD``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import redis
from embedded import Server, running

from tests.adapters.conftest import PASSWORD, free_port
from tests.adapters.proxy import Proxy

KEYS = 300
Fault = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def filled(*options: str, keys: int = KEYS) -> Iterator[tuple[Server, redis.Redis]]:
    """A server with keys, and a client of it."""
    with running(options=options) as server, redis.Redis.from_url(server.url, retry=None) as client:
        client.mset({f"shop:1:product:{number}": b"v" * 50 for number in range(keys)})
        yield server, client


@contextmanager
def hung(directory: Path) -> Iterator[str]:
    with filled() as (server, _client):
        assert server.process
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            yield server.url
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


@contextmanager
def killed(directory: Path) -> Iterator[str]:
    with filled() as (server, _client):
        server.kill()
        yield server.url


@contextmanager
def paused(directory: Path) -> Iterator[str]:
    with filled() as (server, client):
        client.client_pause(60_000, all=True)
        yield server.url
        server.kill()


@contextmanager
def loading(directory: Path) -> Iterator[str]:
    with filled("key-load-delay 400", "loading-process-events-interval-bytes 1024", keys=60_000) as (server, client):
        client.save()
        server.kill()
        server.start()
        yield server.url
        server.kill()


@contextmanager
def without_primary(directory: Path) -> Iterator[str]:
    with running(options=("replicaof 127.0.0.1 1", "replica-serve-stale-data no")) as server:
        yield server.url


@contextmanager
def busy(directory: Path) -> Iterator[str]:
    with filled("lua-time-limit 50") as (server, client):

        def spin() -> None:
            with redis.Redis.from_url(server.url, retry=None) as other, suppress(redis.RedisError):
                other.eval("while true do end", 0)

        thread = threading.Thread(target=spin)
        thread.start()
        time.sleep(0.2)
        try:
            yield server.url
        finally:
            client.script_kill()
            thread.join()


@contextmanager
def without_password(directory: Path) -> Iterator[str]:
    with running(options=(f"requirepass {PASSWORD}",)) as server:
        yield server.url


@contextmanager
def wrong_password(directory: Path) -> Iterator[str]:
    with running(options=("requirepass another",)) as server:
        yield server.url.replace("unix://", f"unix://:{PASSWORD}@")


@contextmanager
def crowded(directory: Path) -> Iterator[str]:
    with filled("maxclients 1") as (server, _client):
        yield server.url


@contextmanager
def swallowed(directory: Path) -> Iterator[str]:
    """Everything arrives, nothing comes back."""
    with filled() as (server, _client):
        proxy = Proxy(directory, server.socket)
        proxy.silent = True
        yield f"unix://{proxy.path}"
        proxy.close()


@contextmanager
def unknown_host(directory: Path) -> Iterator[str]:
    yield f"redis://:{PASSWORD}@no-such-host.invalid:6379"


@contextmanager
def no_tls(directory: Path) -> Iterator[str]:
    port = free_port()
    with running(port=port):
        yield f"rediss://:{PASSWORD}@127.0.0.1:{port}"


# Servers that answer and refuse changes


@contextmanager
def replica(directory: Path) -> Iterator[str]:
    with filled() as (server, client):
        client.replicaof("127.0.0.1", "1")
        yield server.url


@contextmanager
def cannot_save(directory: Path) -> Iterator[str]:
    gone = directory / "gone"
    gone.mkdir()
    with filled("save 3600 1", f"dir {gone}") as (server, client):
        gone.rmdir()
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            time.sleep(0.01)
        yield server.url
        server.kill()  # asked politely, it would insist on a snapshot


@contextmanager
def too_few_replicas(directory: Path) -> Iterator[str]:
    with filled() as (server, client):
        client.config_set("min-replicas-to-write", 1)
        yield server.url

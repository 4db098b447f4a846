"""Servers that forbid commands or keys to the dashboard's user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from embedded import running

from cache_admin.adapters import Adapter
from cache_admin.exceptions import NotPermitted

from .conftest import PASSWORD, MakeAlias, failure

pytestmark = pytest.mark.servers


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
        "slowlog": {"slow_log": "slowlog"},
        "select": dict.fromkeys(
            ("scan", "walk", "count", "info", "key_info", "read", "window", "delete", "expire", "exists", "slow_log"),
            "select",
        ),
    }
    HARMLESS = ("ping", "client", "config", "latency", "cluster", "hello")

    @pytest.fixture(scope="class")
    @classmethod
    def guarded(cls) -> Iterator[redis.Redis]:
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
            "slow_log": lambda: it.slow_log() and "",
            "delete": lambda: "" if it.delete([b"k"]).measured else "unmeasured",
        }
        outcomes = {}
        for name, call in calls.items():
            try:
                outcomes[name] = call()
            except NotPermitted as error:
                outcomes[name] = str(error).removeprefix("mine: not permitted: +").removesuffix(".")
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

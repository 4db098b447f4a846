from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings
from embedded import Server, running

from cache_admin.adapters import adapter
from cache_admin.adapters.base import Adapter, Storage
from cache_admin.exceptions import Unavailable, Unsupported

from .conftest import DJANGO_REDIS, MakeAlias, free_port
from .contract import ServerContract


class TestDefaultClient(ServerContract):
    alias = "default"

    def test_knows_how_values_are_written(self, it: Adapter) -> None:
        assert it.storage == Storage("pickle", "zlib")


class TestJson(ServerContract):
    alias = "json"

    def test_knows_how_values_are_written(self, it: Adapter) -> None:
        assert it.storage == Storage("json")


class TestHerdClient(ServerContract):
    alias = "herd"

    @pytest.fixture(autouse=True)
    def _herd(self, raw: redis.Redis) -> Iterator[None]:
        options = {"CLIENT_CLASS": "django_redis.client.HerdClient"}
        herd = {"BACKEND": DJANGO_REDIS, "LOCATION": f"{settings.URL}?db=2", "OPTIONS": options}
        with override_settings(CACHES={**settings.CACHES, "herd": herd}):
            yield

    @pytest.fixture(autouse=True)
    def _empty(self, _herd: None) -> None:
        caches[self.alias].clear()

    def test_knows_that_values_are_wrapped(self, it: Adapter) -> None:
        assert it.storage == Storage("pickle", wrapped=True)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary and its replica."""
    port = free_port()
    with running(port=port) as primary, running(options=[f"replicaof 127.0.0.1 {port}"]) as replica:
        yield primary, replica


class TestReplication(ServerContract):
    """django-redis reads from the replica, so the look-ups of its ``get`` are not the primary's."""

    alias = "replicated"
    looks_on_primary = (0, 0)

    @pytest.fixture(autouse=True)
    def _empty(self, pair: tuple[Server, Server]) -> Iterator[None]:
        urls = [f"{server.url}?db=0" for server in pair]
        replicated = {"BACKEND": DJANGO_REDIS, "LOCATION": urls}
        with override_settings(CACHES={**settings.CACHES, "replicated": replicated}):
            caches[self.alias].clear()
            yield

    def test_knows_both_servers(self, it: Adapter) -> None:
        first, second = it.nodes()
        assert (first.primary, second.primary) == (True, False)
        assert it.info(second).role == "replica"
        assert it.info(first).run_id != it.info(second).run_id


def test_a_subclass_of_the_cache_is_served_as_the_cache(make_alias: MakeAlias) -> None:
    assert make_alias(settings.URL, "tests.adapters.backends.OwnCache").can_list


@pytest.mark.parametrize("client", ["SentinelClient", "ShardClient"])
def test_clients_of_many_servers_are_looked_up_by_exact_key_only(make_alias: MakeAlias, client: str) -> None:
    it = make_alias(settings.URL, DJANGO_REDIS, CLIENT_CLASS=f"django_redis.client.{client}")
    assert not it.can_list
    with pytest.raises(Unsupported, match="sentinel, sharding or cluster client"):
        it.scan()


def test_password_and_pool_options_are_taken_over(make_alias: MakeAlias) -> None:
    it: Any = make_alias(
        "redis://somewhere:7000/3",
        DJANGO_REDIS,
        PASSWORD="p",
        SOCKET_TIMEOUT=50,
        CONNECTION_POOL_KWARGS={"max_connections": 9, "username": "u", "decode_responses": True},
    )
    address = it._address()
    assert dict(address.options) == {"host": "somewhere", "port": 7000, "username": "u", "password": "p"}
    assert (address.db, address.name) == (3, "somewhere:7000")
    assert "p" not in repr(address).split("db=")[1]


def test_an_alias_that_cannot_be_loaded_says_so(make_alias: MakeAlias) -> None:
    with pytest.raises(Unsupported, match="cannot be loaded"):
        make_alias("", "no.such.Backend")
    with pytest.raises(Unavailable, match="LOCATION cannot be read"):
        make_alias("http://user:sw0rdfish@host", DJANGO_REDIS).count()


def test_an_unknown_alias_is_refused() -> None:
    for name in ("nobody", "__class__", ""):
        with pytest.raises(LookupError):
            adapter(name)

"""Facts and windows of values of every type, however large or short-lived."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from cache_admin.adapters import Adapter, adapter
from cache_admin.adapters.connections import SEND_BYTES


@pytest.fixture
def it(raw: redis.Redis) -> Adapter:
    return adapter("default")


def fill(client: redis.Redis, number: int) -> None:
    client.hset("hash", mapping={f"f{i}": i for i in range(number)})
    client.rpush("list", *range(number))
    client.sadd("set", *range(number))
    client.zadd("zset", {f"m{i}": i for i in range(number)})
    for i in range(number):
        client.xadd("stream", {"field": i}, id=f"{i + 1}-0")


@pytest.mark.parametrize("number", [3, 700])
@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("hash", (b"f0", b"0")),
        ("list", (b"0",)),
        ("set", (b"0",)),
        ("zset", (b"m0", b"0")),
        ("stream", (b"1-0", b"field", b"0")),
    ],
)
def test_collections_are_shown_in_part(
    raw: redis.Redis, it: Adapter, name: str, first: tuple[bytes, ...], number: int
) -> None:
    fill(raw, number)
    value = it.read(name.encode(), entries=50)
    assert (value.type, value.length) == (name, number)
    assert len(value.entries) == min(50, number)
    assert value.truncated is (number > 50)
    assert {len(entry) for entry in value.entries} == {len(first)}
    if number == 3:
        assert first in value.entries
    info = it.key_info(name.encode())
    assert (info.type, info.length, info.expires) == (name, number, False)


def test_entries_are_cut(raw: redis.Redis, it: Adapter) -> None:
    raw.rpush("list", "x" * 1000, "y")
    value = it.read(b"list", limit=10)
    assert value.entries == ((b"x" * 10,), (b"y",))
    assert value.truncated


def test_huge_entries_are_not_fetched(raw: redis.Redis, it: Adapter) -> None:
    raw.rpush("list", b"x" * 6_000_000)
    value = it.read(b"list")
    assert (value.length, value.entries, value.truncated) == (1, (), True)
    assert "not fetched" in value.notes[0]
    raw.hset("hash", mapping={str(i): b"x" * 500_000 for i in range(20)})
    assert 1 <= len(it.read(b"hash").entries) <= 20


def test_only_the_window_of_a_huge_string_is_fetched(raw: redis.Redis, it: Adapter) -> None:
    raw.setrange("huge", 50_000_000, "end")
    sent = raw.info("stats")["total_net_output_bytes"]
    value = it.read(b"huge", start=49_999_999, limit=3)
    assert (value.data, value.length, value.truncated) == (b"\0en", 50_000_003, True)
    assert raw.info("stats")["total_net_output_bytes"] - sent < 20_000


def test_a_look_at_the_facts_does_not_make_a_key_look_used(raw: redis.Redis, it: Adapter) -> None:
    raw.set("k", "v")
    dumped = raw.dump("k")
    raw.restore("old", 0, dumped, idletime=500)
    assert (it.key_info(b"old").idle or 0) >= 500
    try:
        raw.execute_command("CLIENT", "NO-TOUCH", "OFF")
    except redis.ResponseError:
        return  # before Redis 7.2 the length, asked last, makes a string look used
    it.read(b"old")
    assert (it.key_info(b"old").idle or 0) >= 500


def test_an_evicting_policy_by_frequency_has_no_idle_time(raw: redis.Redis, it: Adapter) -> None:
    raw.set("k", "v")
    raw.config_set("maxmemory-policy", "allkeys-lfu")
    try:
        assert (it.key_info(b"k").idle, it.key_info(b"k").notes) == (None, ())
    finally:
        raw.config_set("maxmemory-policy", "noeviction")


def test_a_key_that_changes_its_type_meanwhile_is_read_as_what_it_became(
    raw: redis.Redis, it: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.set("k", "v")
    before_second_trip(monkeypatch, lambda: (raw.delete("k"), raw.rpush("k", 1)))
    assert it.read(b"k").entries == ((b"1",),)
    raw.set("k", "v")
    before_second_trip(monkeypatch, lambda: (raw.delete("k"), raw.sadd("k", 1, 2)))
    assert (it.key_info(b"k").type, it.key_info(b"k").length) == ("set", 2)


def test_a_key_that_vanishes_meanwhile_is_gone(raw: redis.Redis, it: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.rpush("k", 1)
    before_second_trip(monkeypatch, lambda: raw.delete("k"))
    assert not it.key_info(b"k").exists
    raw.rpush("k", 1)
    before_second_trip(monkeypatch, lambda: raw.delete("k"))
    assert it.read(b"k").entries == ()


def before_second_trip(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Lets somebody else act between the first and the second round trip to the server."""
    from cache_admin.adapters.connections import Link

    exchange = Link.exchange
    trips = []

    def watched(link: Link, *args: object, **options: object) -> object:
        trips.append(1)
        if len(trips) == 2:
            act()
        return exchange(link, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "exchange", watched)


def test_very_long_names_do_not_block_either_side(raw: redis.Redis, it: Adapter) -> None:
    names = {b"%d:" % i + b"n" * 65_536 for i in range(60)}
    raw.mset(dict.fromkeys(names, 1))
    assert sum(map(len, names)) > 10 * SEND_BYTES
    pages = list(it.walk(lambda page: page))
    assert {key for page in pages for key in page.keys} == names
    assert all(all(page.sizes) for page in pages)
    assert it.delete(sorted(names)).keys == 60


def test_no_command_takes_the_server_long(raw: redis.Redis, it: Adapter) -> None:
    raw.mset({f"shop:1:k{i}": i for i in range(20_000)})
    raw.config_resetstat()
    names = [key for page in it.walk(lambda names: names[:10]) for key in page.keys]
    assert it.delete(names).keys == 20_000
    # Means, for on a busy machine a single command may be interrupted for longer than any of them takes.
    spent = {name: figures["usec_per_call"] for name, figures in raw.info("commandstats").items()}
    assert spent["cmdstat_scan"] < 2000
    assert spent["cmdstat_unlink"] < 2000
    assert spent["cmdstat_memory|usage"] < 50

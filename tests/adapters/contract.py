"""What every adapter promises. An adapter's test includes :class:`AdapterContract`, and :class:`ServerContract` where
its caches can be listed, measured, inspected and changed."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from django.core.cache import caches

from cache_admin.adapters import Adapter, adapter
from cache_admin.exceptions import Unsupported

NAMES = ["a", "with space", "a:b:c", "ünï:😀", "star*[x]?\\", "x" * 200]


class AdapterContract:
    """True of every cache. ``holds`` is False for one that stores nothing."""

    alias: str
    holds = True

    @pytest.fixture(autouse=True)
    def _empty(self, raw: redis.Redis) -> None:
        caches[self.alias].clear()

    @pytest.fixture
    def it(self) -> Adapter:
        return adapter(self.alias)

    @pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
    @pytest.mark.parametrize("name", NAMES)
    def test_finds_and_removes_one_exact_key(self, it: Adapter, name: str) -> None:
        caches[self.alias].set(name, 1)
        caches[self.alias].set(name + "x", 1)
        assert it.exists(name) is self.holds
        assert it.delete_user_key(name) is self.holds
        assert not it.exists(name)
        assert not it.delete_user_key(name)
        assert it.exists(name + "x") is self.holds

    def test_what_it_cannot_do_is_said_by_flag_and_by_error(self, it: Adapter) -> None:
        calls = {
            "can_list": (it.scan, it.count, lambda: list(it.walk(lambda names: ()))),
            "can_tell_server": (it.info,),
            "can_tell_slow": (it.slow_log,),
            "can_inspect": (lambda: it.key_info(b"k"), lambda: it.read(b"k")),
            "can_change": (lambda: it.delete([b"k"]), lambda: it.expire({b"k": 1000})),
        }
        for flag, methods in calls.items():
            for method in methods:
                if getattr(it, flag):
                    method()
                else:
                    with pytest.raises(Unsupported, match=f"alias {self.alias}"):
                        method()

    def test_is_one_object_per_alias(self, it: Adapter) -> None:
        assert adapter(self.alias) is it


class ServerContract(AdapterContract):
    """True of every cache on plain Redis or Valkey servers."""

    @pytest.fixture
    def client(self, it: Any) -> redis.Redis:
        """A plain client on the alias's database."""
        address = it._address()
        options = {name: value for name, value in address.options.items() if name in ("path", "host", "port")}
        return redis.Redis(unix_socket_path=options.pop("path", None), db=address.db, **options)

    def fill(self, number: int) -> set[bytes]:
        caches[self.alias].set_many({f"user:{i}": "v" * i for i in range(number)}, timeout=900)
        return {adapter(self.alias).codec.raw(f"user:{i}") for i in range(number)}

    def test_lists_every_key_once_the_cursor_is_back_at_zero(self, it: Adapter) -> None:
        names = self.fill(300)
        page, found = it.scan(count=50), set()
        while True:
            found.update(page.keys)
            if not page.cursor:
                break
            page = it.scan(page.cursor, count=50, run_id=page.run_id)
        assert found == names
        assert it.count() == 300

    def test_lists_by_glob(self, it: Adapter) -> None:
        self.fill(30)
        page = it.scan(glob=it.codec.glob("user:1?"))
        assert set(page.keys) == {it.codec.raw(f"user:{i}") for i in range(10, 20)}

    def test_a_cursor_of_another_server_process_starts_again(self, it: Adapter) -> None:
        names = self.fill(20)
        assert set(it.scan(12345, run_id="somebody else").keys) == names

    def test_a_walk_measures_every_key_and_probes_the_chosen_ones(self, it: Adapter, client: redis.Redis) -> None:
        names = self.fill(2500)
        client.set("forever", "x")
        chosen: list[bytes] = []

        def choose(page: Any) -> list[bytes]:
            chosen.extend(page[::7])
            return list(page[::7])

        sizes: dict[bytes, int | None] = {}
        probes = {}
        for page in it.walk(choose):
            assert len(page.keys) == len(page.sizes)
            assert page.total == 2501
            assert page.busy > 0
            sizes.update(zip(page.keys, page.sizes, strict=True))
            probes.update(page.probes)
        assert set(sizes) == names | {b"forever"}
        assert sizes[b"forever"] == client.memory_usage("forever")
        assert set(probes) == set(chosen)
        assert all(probe.type == "string" for probe in probes.values())
        assert all(850 < (probe.ttl or 0) <= 960 for key, probe in probes.items() if key != b"forever")

    def test_a_walk_goes_on_from_a_cursor(self, it: Adapter) -> None:
        names = self.fill(2500)
        walk = it.walk(lambda names: ())
        first = next(walk)
        walk.close()
        rest = {key for page in it.walk(lambda n: (), cursor=first.cursor, run_id=first.run_id) for key in page.keys}
        assert set(first.keys) | rest == names
        assert len(rest) < 2500

    def test_a_key_that_is_gone_is_none_everywhere(self, it: Adapter) -> None:
        self.fill(1)
        (page,) = it.walk(lambda names: [b"gone"])
        assert page.probes[b"gone"].type == "none"
        assert not it.key_info(b"gone").exists
        assert it.read(b"gone").type == "none"
        assert it.delete([b"gone"]).keys == 0
        assert it.expire({b"gone": 1000}) == 0

    def test_tells_the_facts_of_a_key(self, it: Adapter, client: redis.Redis) -> None:
        client.set(b"k\xff\xfe", b"12345", px=90_000)
        info = it.key_info(b"k\xff\xfe")
        assert (info.type, info.length, info.expires, info.encoding) == ("string", 5, True, "int")
        assert info.ttl == pytest.approx(90, abs=5)
        assert info.size == client.memory_usage(b"k\xff\xfe")
        client.persist(b"k\xff\xfe")
        assert (it.key_info(b"k\xff\xfe").ttl, it.key_info(b"k\xff\xfe").expires) == (None, False)

    def test_reads_a_window_of_the_stored_bytes(self, it: Adapter, client: redis.Redis) -> None:
        caches[self.alias].set("k", {"a": list(range(100))})
        stored = client.get(it.codec.raw("k"))
        whole = it.read(it.codec.raw("k"))
        assert (whole.data, whole.length, whole.truncated) == (stored, len(stored), False)
        part = it.read(it.codec.raw("k"), start=3, limit=4)
        assert (part.data, part.length, part.truncated) == (stored[3:7], len(stored), True)

    def test_deletes_exactly_the_named_keys_and_says_how_much(self, it: Adapter, client: redis.Redis) -> None:
        names = sorted(self.fill(1200))
        going = names[:1100]
        size = sum(client.memory_usage(name) for name in going)
        removed = it.delete([*going, going[0], b"gone"])
        assert (removed.keys, removed.size, removed.measured) == (1100, size, True)
        assert client.dbsize() == 100

    def test_changes_the_expiry(self, it: Adapter, client: redis.Redis) -> None:
        self.fill(2)
        one, two = it.codec.raw("user:0"), it.codec.raw("user:1")
        assert it.expire({one: 5000, two: None, b"gone": 5000}) == 2
        assert 4000 < client.pttl(one) <= 5000
        assert client.pttl(two) == -1
        assert it.expire({one: 60_000, two: 60_000}, only_sooner=True) == 1
        assert client.pttl(one) <= 5000
        assert 50_000 < client.pttl(two) <= 60_000
        assert it.expire({one: None}, only_sooner=True) == 0
        with pytest.raises(ValueError, match="delete"):
            it.expire({one: 0})

    def test_our_own_looks_are_not_in_the_hit_counters(
        self, it: Adapter, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cache_admin.adapters.redis_info.INFO_SECONDS", 0)
        self.fill(20)
        client.rpush("list", 1, 2)
        client.hset("hash", "a", 1)
        before = it.info()
        caches[self.alias].get("user:1")
        caches[self.alias].get("missing")
        for page in it.walk(lambda names: [*names, b"gone"]):
            for key in [*page.keys, b"gone"]:
                it.key_info(key)
                it.read(key)
        it.exists("user:1")
        it.exists("nobody")
        after = it.info()
        assert (before.hits, before.misses) != (None, None)
        host = (after.hits - before.hits, after.misses - before.misses)  # type: ignore[operator]
        assert host == self.looks_on_primary

    #: Hits and misses of one ``get`` of a stored and one of a missing key, on the primary.
    looks_on_primary = (1, 1)

    def test_tells_the_servers_own_figures_once_a_second(self, it: Adapter) -> None:
        self.fill(3)
        info = it.info()
        assert info.product in ("Redis", "Valkey")
        assert info.keys == 3
        assert info.role == "primary"
        assert abs(info.at - time.time()) < 5
        assert (info.memory or 0) > 100_000
        caches[self.alias].set("more", 1)
        assert it.info().keys == 3
        assert it.info().at == info.at
        assert it.nodes()[0].primary

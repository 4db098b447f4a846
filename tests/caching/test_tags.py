"""Tags: stale at once, in one write, and never fresh again."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.core.cache import caches

from cache_admin.caching import MISS, SmartCache, ainvalidate_tags, cache_result, invalidate_tags
from cache_admin.caching.tags import new_stamp, tag_key
from cache_admin.exceptions import Unavailable


def numbered(kind: str, tags: Any = ("product:{pk}", "products")) -> Any:
    count = iter(range(1, 1000))

    @cache_result(60, alias=kind, tags=tags)
    def number(pk: int) -> int:
        return next(count)

    return number


def test_one_tag_of_many_is_enough(kind: str) -> None:
    number = numbered(kind)
    assert [number(1), number(2), number(1)] == [1, 2, 1]
    invalidate_tags("product:1", alias=kind)
    assert [number(1), number(2)] == [3, 2]
    invalidate_tags("products", "other", alias=kind)
    assert [number(1), number(2)] == [4, 5]
    assert [number(1), number(2)] == [4, 5]


def test_tags_that_depend_on_the_arguments(kind: str) -> None:
    number = numbered(kind, lambda pk: [f"half:{pk // 2}"])
    assert [number(2), number(3), number(4)] == [1, 2, 3]
    invalidate_tags("half:1", alias=kind)
    assert [number(2), number(3), number(4)] == [4, 5, 3]


def test_a_lost_stamp_never_brings_an_old_value_back(kind: str) -> None:
    number = numbered(kind)
    number(1)
    invalidate_tags("product:1", alias=kind)
    caches[kind].delete(tag_key("product:1"))
    assert number.peek(1) is MISS
    number(2)
    old = {name: caches[kind].get(name) for name in (number.key(1), tag_key("product:1"))}
    assert old[tag_key("product:1")] is None
    assert number(1) == 3
    assert number(1) == 3


def test_an_invalidation_during_the_computation_counts(kind: str) -> None:
    @cache_result(60, alias=kind, tags=["t"])
    def work() -> str:
        invalidate_tags("t", alias=kind)
        return "from before"

    assert work() == "from before"
    assert work.peek() is MISS


def test_more_tags_after_a_deploy_make_old_values_stale(local: str) -> None:
    SmartCache(local).set("k", "old", 60, tags=["a"])
    assert SmartCache(local).get_or_set_with_lock("k", lambda: "new", 60, tags=["a", "b"]) == "new"


def test_stamps_differ_and_fit_the_servers_integers() -> None:
    stamps = {new_stamp() for _ in range(10_000)}
    assert len(stamps) > 9_900
    assert all(0 < stamp < 2**63 for stamp in stamps)


def test_one_list_is_meant_not_one_word() -> None:
    with pytest.raises(TypeError, match=r"write tags=\['products'\]"):
        numbered("locmem", "products")


def test_a_cache_that_does_not_take_it_is_said_so(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches[local], "set_many", lambda data, timeout: list(data))
    with pytest.raises(Unavailable, match="did not take the invalidation of 2 of 2 tags"):
        invalidate_tags("a", "b", alias=local)


def test_no_tags_are_no_round_trip(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches[local], "set_many", None)
    invalidate_tags(alias=local)


@pytest.mark.parametrize("alias", ["default", "core"])
def test_a_hit_with_tags_is_one_command_and_an_invalidation_costs_the_same_in_a_full_cache(raw, alias: str) -> None:
    number = numbered(alias)
    number(1)

    def commands(action: Any) -> int:
        before = raw.info("commandstats")
        action()
        after = raw.info("commandstats")
        names = set(after) - {"cmdstat_info"}
        return sum(after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in names)

    assert commands(lambda: number(1)) == 1
    cost = commands(lambda: invalidate_tags("product:1", alias=alias))
    raw.mset({f"filling:{i}": "x" for i in range(20_000)})
    assert commands(lambda: invalidate_tags("product:1", alias=alias)) == cost


def test_readers_after_a_bump_never_see_what_was_before_it(kind: str) -> None:
    truth, guard, wrong = [0], threading.Lock(), []

    @cache_result(60, alias=kind, tags=["truth"])
    def work() -> int:
        return truth[0]

    def bump(times: int) -> None:
        for _ in range(times):
            with guard:
                truth[0] += 1
                mine = truth[0]
            invalidate_tags("truth", alias=kind)
            got = work()
            if got < mine:
                wrong.append((got, mine))

    threads = [threading.Thread(target=bump, args=(15,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert work() == truth[0] == 90


def test_async_twin(kind: str) -> None:
    number = numbered(kind)
    number(1)
    asyncio.run(ainvalidate_tags("product:1", alias=kind))
    assert number.peek(1) is MISS

"""What ``cache_result`` adds to a hit, and how soon waiters go on: ``python -m benchmarks.cached_function``.

A hit is measured beside a bare ``cache.get`` of the same value, in turns, the best of many rounds each; target: at most
15 us more. Waiters are measured from the moment the value is in the cache, beside a naive lock that polls every 100 ms;
target: at most 20 ms.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks import site_for

VALUE = {"rows": [{"name": f"product {i}", "price": i} for i in range(20)]}


def best(ways: dict[str, Callable[[], Any]], rounds: int, calls: int) -> dict[str, float]:
    """Least microseconds per call of each way, measured in turns."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            for _ in range(calls):
                way()
            found[name] = min(found[name], (time.perf_counter() - began) / calls * 1e6)
    return found


def overhead(alias: str, rounds: int) -> None:
    from django.core.cache import caches

    from cache_admin.caching import cache_result

    def products(category: int, page: int = 1, sort: str = "price") -> Any:
        return VALUE

    plain = cache_result(600, alias=alias)(products)
    tagged = cache_result(600, alias=alias, key="tagged", tags=["category:{category}"])(products)
    plain(5, page=2)
    tagged(5, page=2)
    caches[alias].set("bare", VALUE, 600)
    ways: dict[str, Callable[[], Any]] = {
        "get": lambda: caches[alias].get("bare"),
        "cache_result": lambda: plain(5, page=2),
        "with a tag": lambda: tagged(5, page=2),
    }
    times = best(ways, rounds, 25)
    bare = times["get"]
    print(
        f"{alias}: cache.get {bare:.1f} us, cache_result hit {times['cache_result']:.1f} us: "
        f"{times['cache_result'] - bare:.1f} us more (target <= 15)"
    )
    print(f"{alias}: hit with a tag {times['with a tag']:.1f} us: {times['with a tag'] - bare:.1f} us more")


def resume(alias: str, times: int) -> None:
    """Milliseconds from the value being stored until a waiter has it."""
    from django.core.cache import caches

    from cache_admin.caching import SmartCache

    def smart(key: str) -> None:
        SmartCache(alias).get_or_set_with_lock(key, lambda: None, 60, lock_timeout=30)

    def naive(key: str) -> None:
        while caches[alias].get(key) is None:
            time.sleep(0.1)

    def wait(way: Callable[[str], None], key: str, done: list[float]) -> None:
        way(key)
        done.append(time.perf_counter())

    for name, way in (("get_or_set_with_lock", smart), ("a poll every 100 ms", naive)):
        lags = []
        for number in range(times):
            key, done = f"{name[0]}{number}", list[float]()
            caches[alias].add(f"{key}:lock", 1, 30)
            waiter = threading.Thread(target=wait, args=(way, key, done))
            waiter.start()
            time.sleep(0.3 + 0.013 * number)
            caches[alias].set(key, "value", 60)
            stored = time.perf_counter()
            waiter.join()
            lags.append(max(0.0, done[0] - stored) * 1000)
        print(
            f"{alias}: {name}: a waiter has the value after {statistics.median(lags):.1f} ms (median of {times}), "
            f"{max(lags):.1f} ms at worst"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=600)
    options = parser.parse_args()
    from embedded import running

    with running(prefer="redis-server") as server:
        site_for({"default": server.url})
        from django.conf import settings
        from django.core.cache import caches

        core = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": server.url}
        local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
        settings.CACHES |= {"core": core, "locmem": local}
        caches.settings = caches.configure_settings(settings.CACHES)
        for alias in ("locmem", "default", "core"):
            overhead(alias, options.rounds)
        resume("default", 20)


if __name__ == "__main__":
    main()

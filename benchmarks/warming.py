"""Warming 10 000 entries against one ``cache.set`` per task of a thread pool: ``python -m benchmarks.warming``.

Both fill an alias of django-redis on one server in one run, alternately. Target: at least 5 x the rate.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks import site_for

VALUE = {"name": "A product", "price": "19.90", "labels": ["new", "sale"], "stock": 12}
TARGET = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    from embedded import running

    with running(prefer="redis-server") as server:
        site_for({"default": server.url})
        from django.conf import settings
        from django.core.cache import caches

        from cache_admin.caching.warmers import Warmer
        from cache_admin.caching.warming import CacheWarmer

        def pairs() -> Iterator[tuple[str, object]]:
            for number in range(options.n):
                yield f"product:{number}", VALUE

        def ours() -> None:
            [result] = CacheWarmer.run([Warmer("benchmark", pairs)])
            assert (result.state, result.written) == ("done", options.n), result

        def naive() -> None:
            with ThreadPoolExecutor() as pool:
                for key, value in pairs():
                    pool.submit(caches["default"].set, key, value, 300)

        best = {ours: float("inf"), naive: float("inf")}
        for _ in range(options.repeat):
            for way in (naive, ours):
                server_empty(str(server.socket))
                began = time.perf_counter()
                way()
                best[way] = min(best[way], time.perf_counter() - began)
        for way, seconds in best.items():
            print(f"{way.__name__}: {seconds:.3f} s, {options.n / seconds:,.0f} entries per second")
        print(f"rate: {best[naive] / best[ours]:.1f} x (target >= {TARGET:.0f})")
        shutil.rmtree(settings.RUN_DIR)


def server_empty(path: str) -> None:
    import redis

    with redis.Redis(unix_socket_path=path) as client:
        client.flushall()


if __name__ == "__main__":
    main()

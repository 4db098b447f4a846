"""What recording costs: ``python -m benchmarks.recording``.

A cache operation is measured recorded beside a bare one, in turns; the figure is the median of the differences of such
pairs, in processor time of the thread, folding into patterns included. Targets: at most 1.5 us more for an operation on
locmem (a tenth of "ten operations", a usual mix), at most 2 % more on a server.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from typing import Any

import django

from benchmarks import site_for
from benchmarks.middleware import paired, ten

CALLS = 512


def ways(keys: Any) -> dict[str, Any]:
    return {
        "get, a hit": lambda the: the.get("product:1:card"),
        "get, a miss": lambda the: the.get("product:2:gone"),
        "get, a hit, of 5000 keys in turn": lambda the: the.get(next(keys)),
        "set": lambda the: the.set("product:1:card", 1),
        "set, of 5000 keys in turn": lambda the: the.set(next(keys), 1),
        "get_or_set, a hit": lambda the: the.get_or_set("product:1:card", 1),
        "ten operations, eight of them hits": ten,
        "get_many of 10": lambda the: the.get_many([f"product:{i}" for i in range(10)]),
    }


def measure(alias: str, rounds: int, clock: Any, say: Any) -> None:
    from django.core.cache import caches

    from cache_admin.monitoring import instrument
    from cache_admin.monitoring.recorder import Recorder

    recorder = Recorder()
    bare: Any = caches.create_connection(alias)
    bare.set("product:1:card", 1)
    bare.set_many({f"product:{i}": i for i in range(5000)})
    keys = itertools.cycle([f"product:{i}" for i in range(5000)])
    with instrument.listening(recorder.record):
        watched: Any = caches.create_connection(alias)
        for name, way in ways(keys).items():
            pair = functools.partial(way, bare), functools.partial(way, watched)
            say(name, *paired(pair, rounds, CALLS, clock))
        began = time.thread_time()
        drained = recorder.drain()
        spent = time.thread_time() - began
        print(
            f"{alias}: draining {sum(len(one.counts) for one in drained.values())} patterns takes {spent * 1000:.2f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    from embedded import running

    with running() as server:
        site_for({"redis": server.url})
        from django.conf import settings
        from django.core.cache import caches

        locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}
        settings.CACHES = {**settings.CACHES, "default": locmem, "locmem": {**locmem, "LOCATION": "benchmark"}}
        caches.settings = caches.configure_settings(settings.CACHES)
        print(f"Python {sys.version.split()[0]}, Django {django.__version__}")
        measure(
            "locmem",
            rounds,
            time.thread_time,
            lambda name, bare, more, best: print(
                f"locmem, {name}: {bare:.2f} us bare, {more:+.2f} us recorded ({best:+.2f} us between the best rounds)"
            ),
        )
        measure(
            "redis",
            rounds // 2,
            time.perf_counter,
            lambda name, bare, more, best: print(
                f"redis, {name}: {bare:.1f} us bare, {more:+.2f} us recorded: {more / bare:+.1%}"
            ),
        )


if __name__ == "__main__":
    main()

"""What watching the caches costs: ``python -m benchmarks.middleware``.

A cache operation on locmem is measured recorded and counted by the middleware, beside a bare one, in turns; the figure
is the median of the differences of such pairs, in processor time of the thread. Target: at most 2 us more. Requests of
the shop's visitors, on its own server, are added up in turns, with middleware and recorder and without. Target: at most
3 % more.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import benchmarks  # noqa: F401  # puts the shop on the path

#: Requests of one round.
VISITS = 60


def paired(
    ways: tuple[Callable[[], Any], Callable[[], Any]],
    rounds: int,
    calls: int,
    clock: Callable[[], float] = time.thread_time,
) -> tuple[float, float, float]:
    """Microseconds per call of the first way, and what the second takes on top: medians of pairs, taken in turns, and
    the difference of their best rounds."""
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            way = ways[which]
            began = clock()
            for _ in range(calls):
                way()
            times[which].append((clock() - began) / calls * 1e6)
    bare, more = times
    added = statistics.median(b - a for a, b in zip(bare, more, strict=True))
    return statistics.median(bare), added, min(more) - min(bare)


def operations(rounds: int) -> None:
    from django.core.cache import caches

    from cache_admin.monitoring import instrument, middleware
    from cache_admin.monitoring.recorder import Recorder

    bare: Any = caches.create_connection("locmem")
    with instrument.listening(middleware.count), instrument.listening(Recorder().record):
        watched: Any = caches.create_connection("locmem")
        token = middleware._counts.set(middleware.Counts())
        bare.set("product:1", 1)
        ways = {
            "get, a hit": lambda the: the.get("product:1"),
            "get, a miss": lambda the: the.get("gone"),
            "set": lambda the: the.set("product:1", 1),
            "get_or_set, a hit": lambda the: the.get_or_set("product:1", 1),
            "get_many of 10": lambda the: the.get_many([f"product:{i}" for i in range(10)]),
            "ten operations, eight of them hits": ten,
        }
        for name, way in ways.items():
            alone, added, best = paired((functools.partial(way, bare), functools.partial(way, watched)), rounds, 512)
            print(
                f"locmem, {name}: {alone:.2f} us bare, {added:+.2f} us watched, counted and recorded "
                f"({best:+.2f} us between the best rounds)"
            )
        middleware._counts.reset(token)


def ten(the: Any) -> None:
    """What a page may ask; divide the figures by ten for one operation (target: at most 2 us)."""
    for _ in range(8):
        the.get("product:1")
    the.get("gone")
    the.set("product:1", 1)


def requests(rounds: int) -> None:
    """Requests as the visitors of the demo make them: mostly pages, some posts, half of them signed in."""
    from django.conf import settings
    from django.core.cache import caches
    from shop.visits import Visitors

    from cache_admin.monitoring import instrument, middleware
    from cache_admin.monitoring.recorder import Recorder

    recorder = Recorder()
    ours = f"{middleware.__name__}.CacheMonitoringMiddleware"
    usual = [name for name in settings.MIDDLEWARE if name != ours]
    listeners = (middleware.count, recorder.record)

    def enter(*, watched: bool) -> None:
        for listener in listeners:
            (instrument.listen if watched else instrument.unlisten)(listener)
        for alias in caches:  # made anew, as at start-up
            if hasattr(caches._connections, alias):
                del caches[alias]

    def visit(crowd: Visitors, *, watched: bool) -> float:
        """Microseconds of processor time of a request."""
        enter(watched=watched)
        crowd.visit()
        began = time.thread_time()
        for _ in range(VISITS):
            crowd.visit()
        return (time.thread_time() - began) / VISITS * 1e6

    crowds = {}
    for watched in (False, True):
        settings.MIDDLEWARE = [ours, *usual] if watched else usual
        enter(watched=watched)
        crowds[watched] = Visitors(random.Random(7))
        for _ in range(5 * VISITS):  # all come in, and fill the caches
            crowds[watched].visit()
    recorder.drain()
    alone, added = [], []
    for number in range(rounds):
        for watched, crowd in crowds.items():  # else the second of a round found in the caches what the first made
            crowd.rng.seed(2 * number + watched)
        order = (False, True) if number % 2 else (True, False)
        times = {watched: visit(crowds[watched], watched=watched) for watched in order}
        alone.append(times[False])
        added.append(times[True] - times[False])
    asked = sum(counts.operations for drained in recorder.drain().values() for counts in drained.counts.values())
    # Requests differ much more than the two ways do, so all of them are added up.
    without, more = statistics.mean(alone), statistics.mean(added)
    print(
        f"a request of the shop, {asked / rounds / VISITS:.1f} keys asked for or stored: {without / 1000:.2f} ms of "
        f"processor time, {more:+.0f} us with middleware and recorder: {more / without:.1%} (target <= 3 %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    from embedded import running

    with TemporaryDirectory() as place, running() as server:
        os.environ |= {"REDIS_URL": server.url, "SHOP_DATABASE": str(Path(place) / "shop.sqlite3"), "DEBUG": "0"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "shop_site.settings"
        import django
        from django.conf import settings

        settings.CACHES["locmem"] = {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "benchmark"
        }  # fmt: skip
        django.setup()
        from django.core.management import call_command

        from cache_admin.monitoring import instrument
        from cache_admin.monitoring.recorder import recorder

        instrument.unlisten(recorder.record)
        call_command("migrate", verbosity=0)
        call_command("shop_load", stdout=io.StringIO())
        operations(options.rounds)
        requests(options.rounds)


if __name__ == "__main__":
    main()

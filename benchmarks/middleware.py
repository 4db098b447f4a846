"""What watching the caches costs: ``python -m benchmarks.middleware``.

A cache operation on locmem is measured watched, inside a request of the middleware, beside a bare one, in turns; the
figure is the median of the differences of such pairs, in processor time of the thread. Target: at most 2 us more. A
request to a small view with ten cache operations, a template and the usual middleware is measured the same way, with
the middleware and without. Target: at most 3 % more.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import site_for

OPERATIONS = 10


def view(request: Any) -> Any:
    """A list of products: ten operations on locmem, two of which miss, and a page of a usual size."""
    from django.core.cache import caches
    from django.http import HttpResponse
    from django.template import engines

    the = caches["locmem"]
    the.get("gone")
    the.set("price", 5, 60)
    names = the.get_or_set("names", lambda: [f"product {i}" for i in range(100)], 60)
    for _ in range(4):
        the.get("price")
    the.get_many(["price", "names", "gone"])
    the.has_key("names")
    the.incr("price")
    template = engines["django"].from_string(
        "<table>{% for name in names %}<tr><td>{{ forloop.counter }}</td><td>{{ name|title }}</td></tr>{% endfor %}"
        "</table>{{ user }}"
    )
    return HttpResponse(template.render({"names": names}, request))


urlpatterns: list[Any] = []


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

    bare: Any = caches.create_connection("locmem")
    with instrument.listening(middleware.count):
        watched: Any = caches.create_connection("locmem")
        token = middleware._counts.set(middleware.Counts())
        bare.set("a", 1)
        ways = {
            "get, a hit": lambda the: the.get("a"),
            "get, a miss": lambda the: the.get("gone"),
            "set": lambda the: the.set("a", 1),
            "get_or_set, a hit": lambda the: the.get_or_set("a", 1),
            "get_many of 10": lambda the: the.get_many(["a", *"bcdefghij"]),
        }
        for name, way in ways.items():
            alone, added, best = paired((functools.partial(way, bare), functools.partial(way, watched)), rounds, 50)
            print(
                f"locmem, {name}: {alone:.2f} us bare, {added:+.2f} us watched and counted "
                f"({best:+.2f} us between the best rounds; target <= 2)"
            )
        middleware._counts.reset(token)


def requests(rounds: int) -> None:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import RequestFactory
    from django.urls import path

    from cache_admin.monitoring import instrument, middleware

    urlpatterns.append(path("", view))
    settings.ROOT_URLCONF = __name__
    settings.DEBUG = False
    usual = list(settings.MIDDLEWARE)
    bare = WSGIHandler()
    settings.MIDDLEWARE = [f"{middleware.__name__}.CacheMonitoringMiddleware", *usual]
    full = WSGIHandler()
    factory = RequestFactory()

    def serve(handler: WSGIHandler, *, watched: bool) -> None:
        (instrument.listen if watched else instrument.unlisten)(middleware.count)
        for _ in range(10):
            handler.get_response(factory.get("/"))

    alone, added = [], []
    for number in range(rounds):
        times = {}
        for watched in (False, True) if number % 2 else (True, False):
            handler = full if watched else bare
            serve(handler, watched=watched)  # warms up
            began = time.thread_time()
            for _ in range(20):
                handler.get_response(factory.get("/"))
            times[watched] = (time.thread_time() - began) / 20 * 1e6
        alone.append(times[False])
        added.append(times[True] - times[False])
    instrument.unlisten(middleware.count)
    without, more = statistics.median(alone), statistics.median(added)
    print(
        f"a request with {OPERATIONS} operations: {without / 1000:.2f} ms, {more:+.0f} us with the middleware: "
        f"{more / without:.1%} (target <= 3 %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    site_for({})
    from django.conf import settings
    from django.core.cache import caches

    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CACHES["locmem"] = {**settings.CACHES["default"], "LOCATION": "benchmark"}
    caches.settings = caches.configure_settings(settings.CACHES)
    operations(options.rounds)
    requests(options.rounds // 2)


if __name__ == "__main__":
    main()

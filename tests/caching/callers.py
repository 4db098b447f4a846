"""One process of callers: ``python -m tests.caching.callers <url> <backend> <location> <what> <threads>``.

``url`` is the server that they count on, ``backend`` and ``location`` are the cache.

Says ``ready``, waits for a line, runs ``what`` in each thread, and prints a JSON list of what they returned.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from django.conf import settings

url, backend, location, what, threads = sys.argv[1:]
options = {"BACKEND": backend, "LOCATION": location, "KEY_PREFIX": "stampede"}
settings.configure(CACHES={"default": options}, USE_TZ=True)

from cache_admin.caching import SmartCache, cache_result, invalidate_tags  # noqa: E402

server = redis.Redis.from_url(url)
smart = SmartCache()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stampede() -> Any:
    def compute() -> int:
        time.sleep(0.4)
        return int(server.incr("computations"))

    return smart.get_or_set_with_lock("report", compute, 60, lock_timeout=30)


def tasks() -> Any:
    """Fifty tasks of one event loop."""

    async def compute() -> int:
        await asyncio.sleep(0.4)
        return int(server.incr("computations"))

    async def many() -> list[Any]:
        return await asyncio.gather(*(smart.aget_or_set_with_lock("report", compute, 60, 30) for _ in range(50)))

    return asyncio.run(many())


def late() -> Any:
    """Computes until it gets another line, longer than its lock lives."""

    def compute() -> str:
        say("computing")
        sys.stdin.readline()
        return "late"

    return smart.get_or_set_with_lock("report", compute, 60, lock_timeout=1)


def next_one() -> Any:
    """Computes until it gets another line."""

    def compute() -> str:
        say("computing")
        sys.stdin.readline()
        return "next"

    return smart.get_or_set_with_lock("report", compute, 60, lock_timeout=50)


def kept() -> Any:
    return [smart.get("report"), smart.get("report:lock")]


def die() -> Any:
    """Takes the lock and never comes back."""

    def compute() -> None:
        say("computing")
        time.sleep(60)

    return smart.get_or_set_with_lock("report", compute, 60, lock_timeout=2)


def after_a_death() -> Any:
    def compute() -> int:
        time.sleep(0.1)
        return int(server.incr("computations"))

    return smart.get_or_set_with_lock("report", compute, 60, lock_timeout=2, wait=20)


@cache_result(60, tags=["truth"])
def truth() -> int:
    return int(server.get("truth") or 0)


def bump() -> Any:
    """How often a reader saw what was true before its own bump."""
    wrong = 0
    for _ in range(25):
        mine = int(server.incr("truth"))
        invalidate_tags("truth")
        wrong += truth() < mine
    return wrong


def main() -> None:
    barrier = threading.Barrier(int(threads))

    def caller(_: int) -> Any:
        barrier.wait()
        return globals()[what]()

    say("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(int(threads)) as pool:
        say(json.dumps(list(pool.map(caller, range(int(threads))))))


if __name__ == "__main__":
    main()

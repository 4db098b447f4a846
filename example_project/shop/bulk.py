"""Many keys quickly, through ``set_many`` of the shop's caches, under the names and with the values of the shop."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.sessions.backends.cached_db import KEY_PREFIX as SESSION_PREFIX
from django.core.cache import cache, caches
from django_redis import get_redis_connection

from cache_admin.caching import CacheKeyBuilder
from shop.stock import DAY, HOUR, RELEASE, SORTS

BATCH = 500
#: Ids start above those in the database, so that no visitor meets a made-up value.
FIRST = 10_001
TEXT = "Made to last, easy to mend, and sent on the day you order it. "


@dataclass(frozen=True)
class Family:
    """``share`` parts of all keys; ``entry(n, rng)`` makes one; the seconds to live are drawn per batch."""

    share: int
    entry: Callable[[int, random.Random], tuple[str, Any]]
    seconds: tuple[int, int] | None
    alias: str = "default"
    version: int | None = None


def _product(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"product:{n}", {
        "id": n, "name": f"Product {n}", "description": TEXT * rng.randint(1, 8),
        "price": Decimal(rng.randrange(499, 39_999)) / 100, "category": "Books", "category_slug": "books",
    }  # fmt: skip


def _reviews(n: int, rng: random.Random) -> tuple[str, Any]:
    newest = [{"stars": rng.randint(1, 5), "text": TEXT[: rng.randint(10, 60)]} for _ in range(rng.randrange(5))]
    return f"product:{n}:reviews", {"average": rng.uniform(1, 5), "newest": newest}


def _stats(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"user:{n}:dashboard_stats", {"orders": rng.randrange(9), "items": rng.randrange(40)}


def _list(n: int, rng: random.Random) -> tuple[str, Any]:
    rows = [{"id": n + i, "name": f"Product {n + i}", "price": Decimal(9), "stock": 3} for i in range(12)]
    sort = tuple(SORTS)[n % 3]
    where = {"category_id": n // 3 % 24 + 1, "page": n // 72 + 1, "sort": sort}
    return CacheKeyBuilder.build_key("product_list", version=RELEASE.lists_version, **where), rows


def _search(n: int, rng: random.Random) -> tuple[str, Any]:
    digest = hashlib.md5(f"query {n}".encode(), usedforsecurity=False).hexdigest()
    return f"search:{digest}", rng.sample(range(1, 601), rng.randrange(9))


def _recommendations(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"recommendations:user:{n}", rng.sample(range(1, 601), 20)


def _session(n: int, rng: random.Random) -> tuple[str, Any]:
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=32))
    return SESSION_PREFIX + name, {"cart": {str(rng.randrange(600)): 1 for _ in range(rng.randrange(4))}}


def _throttle(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"throttle_user_{n}", [1.7e9 + rng.random() for _ in range(rng.randint(1, 20))]


def _entry(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"catalogue:product:{n}", {
        "id": n,
        "name": f"Product {n}",
        "text": TEXT * rng.randint(1, 6),
        "price": "9.90",
    }


def _invoice(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"order:{uuid.UUID(int=rng.getrandbits(128), version=4)}:invoice", {"order": n, "lines": [TEXT] * 3}


def _statistics(n: int, rng: random.Random) -> tuple[str, Any]:
    day = date(2026, 11, 1) - timedelta(days=n)
    return f"statistics:daily:{day.isoformat()}", {"orders": rng.randrange(90), "sold": Decimal(rng.randrange(9999))}


def _old_card(n: int, rng: random.Random) -> tuple[str, Any]:
    return f"product:{n}:card", f"<li>Product {n}</li>"


FAMILIES = (
    Family(22, _product, (HOUR, 6 * HOUR)),
    Family(10, _reviews, (2 * HOUR, 12 * HOUR)),
    Family(9, _stats, (HOUR, 3 * HOUR)),
    Family(6, _list, (HOUR, 4 * HOUR)),
    Family(8, _search, (HOUR, 2 * HOUR)),
    Family(9, _recommendations, None),
    Family(8, lambda n, rng: (f"views:product:{n}", int(rng.paretovariate(0.7)) % 100_000), None),
    Family(2, _throttle, (12 * HOUR, DAY)),
    Family(3, _invoice, (DAY, 3 * DAY)),
    Family(1, _old_card, None, version=0),
    Family(14, _session, (3 * DAY, 14 * DAY), "sessions"),
    Family(8, _entry, (DAY, 7 * DAY), "long_term"),
)


def fill(keys: int, rng: random.Random) -> Iterator[int]:
    """Writes at least ``keys`` keys; yields how many so far, after every batch."""
    done = fill_specials(rng)
    whole = sum(family.share for family in FAMILIES)
    for family in FAMILIES:
        count = -(-keys * family.share // whole)
        for first in range(FIRST, FIRST + count, BATCH):
            batch = dict(family.entry(n, rng) for n in range(first, min(first + BATCH, FIRST + count)))
            timeout = rng.randint(*family.seconds) if family.seconds else None
            caches[family.alias].set_many(batch, timeout=timeout, version=family.version)
            done += len(batch)
            yield done


def fill_specials(rng: random.Random) -> int:
    """The single and the large: reports, exports, statistics, locks of running jobs, and the task queue next door."""
    cache.set("report:sales:2026-10:pdf", rng.randbytes(2_000_000), 7 * DAY)
    lines = (f"{n};Product {n};{rng.randrange(499, 39_999)};{rng.getrandbits(96):x}" for n in range(12_000))
    cache.set("export:catalogue:csv", "\n".join(lines), DAY)
    rows = [{"id": n, "price": rng.randrange(499, 39_999), "text": TEXT} for n in range(4000)]
    caches["long_term"].set("export:partner_feed", rows)
    cache.set_many(dict(_statistics(n, rng) for n in range(100, 465)), 30 * DAY)
    for job in ("nightly_report", "import:supplier:3"):
        cache.lock(f"lock:{job}", timeout=HOUR).acquire(blocking=False)
    return 370 + fill_queue(rng)


def fill_queue(rng: random.Random) -> int:
    """What a Celery worker keeps on the same server: keys that are nobody's cache."""
    pipe = get_redis_connection("default").pipeline(transaction=False)
    for _ in range(300):
        task = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        result = {"status": "SUCCESS", "result": None, "traceback": None, "task_id": task}
        pipe.setex(f"celery-task-meta-{task}", DAY, json.dumps(result))
    pipe.rpush("celery", *(json.dumps({"body": TEXT, "headers": {"task": "shop.tasks.send_mail"}}) for _ in range(40)))
    pipe.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
    pipe.execute()
    return 302

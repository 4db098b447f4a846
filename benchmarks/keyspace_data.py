"""Fills a server with N keys as a shop's cache has them, fast.

``python -m benchmarks.keyspace_data --url unix:///path/of/socket -n 1000000``

Two dozen families of keys with a Zipf distribution of keys over families; sizes with heavy tails (lognormal, a few
families Pareto with index 1.8, cut at 1 MB); some families never expire, others in minutes, hours or days.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

HEAD = b"shop:1:"
LARGEST = 1_000_000
FIRST_NAMES = [
    "ada",
    "alan",
    "barbara",
    "dennis",
    "donald",
    "edsger",
    "frances",
    "grace",
    "guido",
    "john",
    "ken",
    "lynn",
]
MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Kind:
    """A family of keys: how it makes names, the median of its sizes, its tail (None: lognormal), its TTL range."""

    name: Callable[[random.Random, int], bytes]
    median: int
    ttl: tuple[int, int] | None
    pareto: float | None = None


def _md5(i: int, salt: str) -> bytes:
    return hashlib.md5(f"{salt}{i}".encode()).hexdigest().encode()


def _uuid(rnd: random.Random) -> bytes:
    return str(uuid.UUID(int=rnd.getrandbits(128))).encode()


def _person(rnd: random.Random, i: int) -> bytes:
    return f"{rnd.choice(FIRST_NAMES)}{''.join(rnd.choices('abcdefghijklmnopqrstuvwxyz', k=5))}".encode()


def _page(rnd: random.Random, i: int) -> bytes:
    return b"views.decorators.cache.cache_page.site.GET." + _md5(i % 997, "u") + b"." + _md5(i, "h") + b".en-us.UTC"


def _header(rnd: random.Random, i: int) -> bytes:
    return b"views.decorators.cache.cache_header.site." + _md5(i, "u") + b".en-us.UTC"


def _session(rnd: random.Random, i: int) -> bytes:
    return b"django.contrib.sessions.cache" + bytes(rnd.choices(b"abcdefghijklmnopqrstuvwxyz0123456789", k=32))


KINDS: tuple[Kind, ...] = (
    Kind(lambda rnd, i: b"product:%d" % i, 900, (HOUR, DAY)),
    Kind(_session, 300, (DAY, 14 * DAY)),
    Kind(_page, 6_000, (5 * MINUTE, HOUR), 1.8),
    Kind(lambda rnd, i: b"product:%d:reviews" % i, 2_000, (HOUR, DAY)),
    Kind(lambda rnd, i: b"template.cache.sidebar." + _md5(i, "s"), 1_500, (MINUTE, HOUR)),
    Kind(lambda rnd, i: b"user:%b:profile" % _person(rnd, i), 400, None),
    Kind(lambda rnd, i: b"cart:%b" % _uuid(rnd), 700, (HOUR, 7 * DAY)),
    Kind(lambda rnd, i: b"stock:%d:warehouse:%d" % (i, i % 7), 60, (MINUTE, 5 * MINUTE)),
    Kind(lambda rnd, i: b"price:%d:%d-%02d-%02d" % (i, 2024, i % 12 + 1, i % 28 + 1), 60, None),
    Kind(lambda rnd, i: b"search:" + _md5(i, "q"), 3_000, (MINUTE, HOUR), 1.8),
    Kind(lambda rnd, i: b"throttle_anon_10.%d.%d.%d" % (i >> 16 & 255, i >> 8 & 255, i & 255), 80, (MINUTE, HOUR)),
    Kind(_header, 80, (MINUTE, HOUR)),
    *(
        Kind(lambda rnd, i, name=name: b"%b:%d" % (name, i), median, ttl)  # type: ignore[misc]
        for name, median, ttl in (
            (b"category", 1_200, (HOUR, DAY)),
            (b"order", 800, (HOUR, 7 * DAY)),
            (b"invoice", 2_500, None),
            (b"image/thumb", 4_000, (DAY, 30 * DAY)),
            (b"coupon", 100, None),
            (b"geo:city", 150, None),
            (b"recommend:v2", 900, (HOUR, DAY)),
            (b"counter", 56, None),
            (b"api:v1:item", 600, (MINUTE, HOUR)),
            (b"menu", 1_500, (HOUR, DAY)),
            (b"lock", 40, (10, MINUTE)),
            (b"flag", 40, None),
        )
    ),
)  # fmt: skip


def keys(n: int, seed: int = 1) -> Iterator[tuple[bytes, int, int | None]]:
    """``n`` (raw key, bytes of its value, seconds to live); the same for the same seed."""
    rnd = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(KINDS))]
    for i, kind in enumerate(rnd.choices(KINDS, weights, k=n)):
        if kind.pareto:
            size = kind.median * rnd.paretovariate(kind.pareto) / 2 ** (1 / kind.pareto)
        else:
            size = rnd.lognormvariate(0, 0.8) * kind.median
        ttl = rnd.randint(*kind.ttl) if kind.ttl else None
        yield HEAD + kind.name(rnd, i), min(LARGEST, int(size) + 1), ttl


def fill(url: str, n: int, seed: int = 1, shrink: int = 1) -> float:
    """Writes the keys, values divided by ``shrink`` to save memory, over a unix socket or TCP; returns seconds."""
    began = time.perf_counter()
    filler = random.Random(seed).randbytes(LARGEST)
    with _connect(url) as link:
        reader = link.makefile("rb")
        batch: list[bytes] = []
        for key, size, ttl in keys(n, seed):
            value = filler[: max(1, size // shrink)]
            words = (b"SET", key, value) if ttl is None else (b"SET", key, value, b"EX", b"%d" % ttl)
            batch.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
            if len(batch) == 500:
                _send(link, reader, batch)
        _send(link, reader, batch)
    return time.perf_counter() - began


def _send(link: socket.socket, reader: object, batch: list[bytes]) -> None:
    link.sendall(b"".join(batch))
    for _ in batch:
        reply = reader.readline()  # type: ignore[attr-defined]
        if reply != b"+OK\r\n":
            raise RuntimeError(reply)
    batch.clear()


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        link = socket.socket(socket.AF_UNIX)
        link.connect(parts.path)
        return link
    return socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="unix:///path/of/socket or redis://127.0.0.1:6379")
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shrink", type=int, default=1, help="divide the sizes of values by this")
    options = parser.parse_args()
    seconds = fill(options.url, options.n, options.seed, options.shrink)
    print(f"{options.n} keys in {seconds:.1f} s")


if __name__ == "__main__":
    main()

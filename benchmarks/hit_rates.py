"""The page of hit rates over 30 days against the same page over 15 minutes: ``python -m benchmarks.hit_rates``.

Target: at most 150 ms of server time with 200 patterns, on SQLite, all counts and readings of 35 days stored.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

from benchmarks import site_for

TARGET = 150  # milliseconds
FAMILIES = ("product", "category", "user", "cart", "search", "report", "page", "price", "stock", "menu")
PARTS = ("card", "summary", "reviews", "prices", "profile", "orders", "rights", "entries", "totals", "head")


def names(number: int) -> list[bytes]:
    """Templates as a shop has them; every twentieth stands for any word."""
    made = []
    for i in range(number):
        family, part = FAMILIES[i % 10].encode(), PARTS[i // 10 % 10].encode()
        middle = b"\x01" if i % 20 == 19 else b"\x00"
        made.append(b":".join((family, middle, part, b"v%d" % (i // 100))))
    return made


def fill(alias: str, patterns: int, now: float) -> int:
    """Rows as processes and the rollup leave them, for all that is kept; their number."""
    from cache_admin.models import Usage
    from cache_admin.monitoring import rollup
    from cache_admin.monitoring.usage import Counts, dump

    rng = random.Random(7)
    templates = names(patterns)

    def counts(step: int) -> dict[str, list[int]]:
        """About 10 look-ups a second of each pattern; every third has stampedes and early misses."""

        def one(i: int) -> Counts:
            hits, misses = rng.randrange(19 * step), rng.randrange(step)
            rare = (rng.randrange(5), rng.randrange(9_000), rng.randrange(5)) if i % 3 == 0 else ()
            return Counts(
                hits, misses, misses, 3, 2, 0, hits * 180, misses * 900, misses, misses, misses * 40_000, *rare
            )

        return dump({template: one(i) for i, template in enumerate(templates)})

    rows = []
    for step, kept in rollup.LEVELS:
        over = int(now - rollup.MARGIN) // step * step
        rows += [
            Usage(level=step, alias=alias, at=at, source="", counts=counts(step))
            for at in range(over - step, over - kept, -step)
        ]
    rows += [
        Usage(level=0, alias=alias, at=int(now) - 5 * i, source=f"process {p}#{i}", counts=counts(1))
        for i in range(9)
        for p in range(4)
    ]
    Usage.objects.bulk_create(rows, batch_size=100)
    return len(rows)


def readings(alias: str, now: float) -> int:
    """Samples of the server as they are thinned, with a restart a week; their number."""
    from cache_admin.models import ServerSample
    from cache_admin.monitoring import sampler
    from cache_admin.monitoring.samples import slot_of
    from cache_admin.monitoring.thinning import LEVELS

    server = sampler.reading(alias).primary.server
    reading = ServerSample.objects.get(server=server).reading
    rows, age = [], float(LEVELS[0][0])
    for step, until in LEVELS:
        while age < until:
            at = now - age
            run = f"run {int(age // 604_800)}"
            rows.append(ServerSample(server=server, slot=slot_of(at), step=step, at=at, run_id=run, reading=reading))
            age += step
    ServerSample.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    from embedded import running

    with running() as server:
        site_for({"default": server.url})
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test import Client

        from cache_admin import keys
        from cache_admin.models import Deploy

        call_command("migrate", verbosity=0)
        now = time.time()
        stored = fill("default", options.patterns, now), readings("default", now)
        Deploy.objects.bulk_create([Deploy(label=f"release {i}", at=now - 86_400 * i) for i in range(30)])
        print(f"{options.patterns} patterns in {stored[0]} rows, {stored[1]} readings of the server, 30 deploys")
        client = Client()
        client.force_login(User.objects.create_superuser("admin", password="admin"))
        base = "/admin/cache_admin/cache/alias/default/hit-rates/"

        def milliseconds(path: str, span: str) -> float:
            began = time.thread_time()
            response = client.get(base + path, {"span": span})
            taken = (time.thread_time() - began) * 1000
            if response.status_code != 200:
                raise SystemExit(f"{path}: {response.status_code}")
            return taken

        pages = {"page": "", "one pattern": f"{keys.token(names(1)[0])}/", "export": "export/csv/"}
        print(f"milliseconds, median of {options.repeat}")
        print(f"{'':<14}{'15 minutes':>12}{'30 days':>12}{'ratio':>8}")
        for name, path in pages.items():
            milliseconds(path, "15m")
            milliseconds(path, "30d")
            pairs = [(milliseconds(path, "15m"), milliseconds(path, "30d")) for _ in range(options.repeat)]
            short, long = (statistics.median(column) for column in zip(*pairs, strict=True))
            over = "" if long <= TARGET else "  OVER"
            print(f"{name:<14}{short:12.1f}{long:12.1f}{long / short:8.2f}{over}")


if __name__ == "__main__":
    main()

"""The sample that answers at once: its time, and how often its intervals hold the truth.

``python -m benchmarks.sample [-n 1000000] [--trials 200] [--shapes 4]``

Targets at 1 M keys: at most 300 ms, and in 200 trials the true share, of keys and of bytes, of each of the top ten
patterns lies in the printed 95 % interval in at least 93 %.

The truth is a complete census of the same server. A sample is a stretch of the server's hash table from a cursor on.
Where a key lies in the table depends on the server's random hash seed alone, so a stretch that begins elsewhere is
as good as one of a server with another seed; each trial begins at a cursor drawn with the trial's number as seed. The
trials are spread over several servers, each with its own hash seed and its own keyspace.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter

from benchmarks import site_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=200.0, help="milliseconds, as SAMPLE_MILLISECONDS")
    options = parser.parse_args()
    from embedded import Server

    servers = [Server() for _ in range(options.servers)]
    hits: Counter[tuple[str, str]] = Counter()
    tried: Counter[str] = Counter()
    seconds: list[float] = []
    scanned: list[int] = []
    try:
        for server in servers:
            server.start()
        site_for({f"number{i}": server.url for i, server in enumerate(servers)})
        for seed, server in enumerate(servers):
            measure(seed, server.url, options, hits, tried, seconds, scanned)
    finally:
        for server in servers:
            server.stop()
    seconds.sort()
    print(f"{len(seconds)} samples of {options.n} keys: median {1000 * statistics.median(seconds):.0f} ms, "
          f"95th percentile {1000 * seconds[int(0.95 * len(seconds))]:.0f} ms, largest {1000 * seconds[-1]:.0f} ms "
          f"(target <= 300), {statistics.median(scanned):.0f} keys looked at")  # fmt: skip
    worst = 1.0
    for pattern, times in tried.most_common():
        keys, size = hits[pattern, "keys"] / times, hits[pattern, "bytes"] / times
        worst = min(worst, keys, size)
        print(f"  {pattern[:60]:60} {times:4} trials, keys {keys:6.1%}, bytes {size:6.1%}")
    print(f"worst coverage {worst:.1%} (target >= 93 %)")


def measure(
    seed: int,
    url: str,
    options: argparse.Namespace,
    hits: Counter[tuple[str, str]],
    tried: Counter[str],
    seconds: list[float],
    scanned: list[int],
) -> None:
    from benchmarks.keyspace_data import fill
    from cache_admin.adapters import adapter
    from cache_admin.keyspace.census import Census, sample

    fill(url, options.n, seed=seed + 1, shrink=8)
    cache = adapter(f"number{seed}")
    census = Census(cache)
    for page in cache.walk(census.choose):
        census.feed(page)
    truth = {stats.pattern: stats for stats in census.report().patterns[:10]}
    bits = max(1, (options.n - 1).bit_length())
    for trial in range(seed, options.trials, options.servers):
        cursor = random.Random(trial).getrandbits(bits)
        began = time.perf_counter()
        report = sample(cache, options.budget, start=(cursor, census.run_id))
        seconds.append(time.perf_counter() - began)
        scanned.append(report.scanned)
        found = {stats.pattern: stats for stats in report.patterns}
        for pattern, true in truth.items():
            tried[pattern] += 1
            if (stats := found.get(pattern)) is not None:
                keys, size = stats.keys_share, stats.size_share
                hits[pattern, "keys"] += keys.low <= true.keys_share.value <= keys.high
                hits[pattern, "bytes"] += size.low <= true.size_share.value <= size.high


if __name__ == "__main__":
    main()

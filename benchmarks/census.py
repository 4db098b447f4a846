"""A complete census against ``redis-cli --memkeys`` on the same server: ``python -m benchmarks.census [-n 1000000]``.

Targets: at most a quarter of its wall time when fast, at most all of it when gentle; at most 64 MB more memory than
before; gentle, at most 25 % of the server's time in commands, and no command over 5 ms.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter

import redis

from benchmarks import site_for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    from embedded import running

    with running(prefer="redis-server") as server:
        site_for({"default": server.url})
        from cache_admin.adapters import adapter
        from cache_admin.keyspace.census import Census

        # In a process of its own, so that its memory does not hide that of the census.
        fill = [sys.executable, "-m", "benchmarks.keyspace_data", "--url", server.url, "-n", str(options.n)]
        subprocess.run([*fill, "--shrink", "8"], check=True)
        cache = adapter("default")

        def census() -> tuple[float, float, Census]:
            began, spent = time.perf_counter(), time.process_time()
            found = Census(cache)
            for page in cache.walk(found.choose):
                found.feed(page)
            return time.perf_counter() - began, time.process_time() - spent, found

        if options.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            profile.runcall(census)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            return
        client = server_client(server.url)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        redis_cli = shutil.which("redis-cli")
        runs, theirs = [], []

        def memkeys() -> float:
            began = time.perf_counter()
            subprocess.run([str(redis_cli), "-s", str(server.socket), "--memkeys"], check=True, capture_output=True)
            return time.perf_counter() - began

        for _ in range(options.repeat):
            runs.append(census())
            if redis_cli:
                theirs.append(memkeys())
        seconds, spent, found = min(runs, key=lambda run: run[0])
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        report = found.report()
        print(f"census: {_all([run[0] for run in runs])} s; the best used the processor for {spent:.2f} s")
        print(
            f"  {report.scanned} keys, {len(report.patterns)} patterns, {len(report.large_keys)} large keys, "
            f"memory +{grown:.1f} MB (target <= 64)"
        )
        if theirs:
            print(f"redis-cli --memkeys: {_all(theirs)} s")
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            ratios = [run[0] / other for run, other in zip(runs, theirs, strict=True)]
            print(f"ratio of each pair {_all(ratios)}, median {statistics.median(ratios):.2f} (target <= 0.25)")
            print(f"ratio of the best ones {seconds / min(theirs):.2f}")
        taken = gentle(client)
        if theirs:
            print(f"gentle: ratio to a run right after it {taken / memkeys():.2f} (target <= 1)")
        for name, title in ((b"cache-admin", "of ours"), (b"", "of redis-cli, for comparison")):
            print(f"commands over 5 ms {title}: {slow(client, name)}")


def server_client(url: str) -> redis.Redis:
    """A client of our own server, whose slow log begins now, at 5 ms."""
    client = redis.Redis.from_url(url)
    client.config_set("slowlog-log-slower-than", 5_000)
    client.config_set("slowlog-max-len", 10_000)
    client.slowlog_reset()
    return client


def slow(client: redis.Redis, name: bytes) -> str:
    """What the slow log has of the clients of one name. On a busy machine that is mostly what the server waited for
    the processor in the middle of a command: small ones are there as well."""
    found = [entry for entry in client.slowlog_get(10_000) if entry["client_name"] == name]
    names = Counter(entry["command"].split()[0].decode() for entry in found)
    longest = max((entry["duration"] / 1000 for entry in found), default=0.0)
    return f"{len(found)} {dict(names)}, the longest {longest:.1f} ms (target none)" if found else "none"


def gentle(client: redis.Redis) -> float:
    """Seconds of a census as people start it: an operation with pauses. Prints what it asked of the server."""
    from django.conf import settings
    from django.core.management import call_command

    from cache_admin.operations import census, runner

    def in_commands() -> float:
        return sum(float(command["usec"]) for command in client.info("commandstats").values()) / 1e6

    call_command("migrate", verbosity=0)
    worked, began = in_commands(), time.perf_counter()
    operation, _ = runner.begin(census.plan("default"), None, username="benchmark")
    operation = runner.run(operation)
    taken = time.perf_counter() - began
    share = (in_commands() - worked) / taken
    assert operation.state == "done", operation.error
    print(f"gentle: {taken:.2f} s, {share:.0%} of the server's time in commands (target <= 25 %)")
    shutil.rmtree(settings.RUN_DIR)
    return taken


def _all(seconds: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)


if __name__ == "__main__":
    main()

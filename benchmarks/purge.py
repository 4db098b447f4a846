"""Purging 100 000 of a million keys against django-redis: ``python -m benchmarks.purge [-n 1000000]``.

The other side is its ``delete_pattern``, in one run on one server, with the same keys put back in between. Targets: at
most 0.3 x its wall time, and at most 1/5 of the worst stall that another client, which pings all the time, sees. The
gentle purge (the default for people) is shown as well, and what the preview before it takes, which the other side
does not have.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from benchmarks import site_for

GOING = 100_000
_PING = b"*1\r\n$4\r\nPING\r\n"


def ping(path: str, pipe: Connection) -> None:
    """Another client: pings until told to stop; sends back the longest time that an answer took, in seconds."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        worst = 0.0
        pipe.send(None)
        while not pipe.poll():
            began = time.perf_counter()
            link.sendall(_PING)
            link.recv(64)
            worst = max(worst, time.perf_counter() - began)
            time.sleep(0.0002)
        pipe.send(worst)


def watched(path: str, work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds that ``work`` took, the worst stall of another client meanwhile, and what it returned."""
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=ping, args=(path, theirs))
    other.start()
    ours.recv()
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    ours.send(None)
    stall: float = ours.recv()
    other.join()
    return seconds, stall, result


def fill(path: str, name: str, count: int) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        reader = link.makefile("rb")
        for start in range(0, count, 1_000):
            keys = [b"shop:1:%b:%d" % (name.encode(), i) for i in range(start, min(start + 1_000, count))]
            link.sendall(b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$100\r\n%0100d\r\n" % (len(k), k, 0) for k in keys))
            for _ in keys:
                reader.readline()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="purge all keys once, and show the growth of the process")
    options = parser.parse_args()
    from embedded import running

    with running(prefer="redis-server") as server:
        site_for({"default": server.url})
        from django.conf import settings
        from django.core.cache import caches
        from django.core.management import call_command

        from cache_admin.operations import runner
        from cache_admin.operations.purge import plan
        from cache_admin.operations.targets import Target

        call_command("migrate", verbosity=0)
        path = str(server.socket)

        looked: list[float] = []  # seconds of the preview of each purge

        def purge(typed: str, *, fast: bool) -> int:
            began = time.perf_counter()
            found = plan("default", [Target.glob(typed)], None, fast=fast)
            looked.append(time.perf_counter() - began)
            operation, _ = runner.begin(found, None, username="benchmark")
            operation = runner.run(operation)
            assert operation.state == "done", operation.error
            return operation.done_keys

        fill(path, "stays", options.n - GOING)
        if options.all:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            seconds, stall, keys = watched(path, lambda: purge("*", fast=True))
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"all {keys} keys: {seconds:.2f} s, worst stall {stall * 1000:.0f} ms, memory +{grown:.1f} MB")
            shutil.rmtree(settings.RUN_DIR)
            return
        ways: dict[str, Callable[[], int]] = {
            "delete_pattern": lambda: caches["default"].delete_pattern("goes:*"),  # type: ignore[attr-defined]
            "purge, fast": lambda: purge("goes:*", fast=True),
            "purge, gentle": lambda: purge("goes:*", fast=False),
        }
        best: dict[str, tuple[float, float, float]] = {}  # seconds without and with preview, stall
        for _ in range(options.repeat):
            for name, work in ways.items():
                fill(path, "goes", GOING)
                seconds, stall, keys = watched(path, work)
                assert keys == GOING, keys
                preview = looked.pop() if looked else 0.0
                print(f"{name}: {seconds:.2f} s, {preview:.2f} s of them the preview, stall {stall * 1000:.0f} ms")
                known = best.get(name, (seconds, seconds, stall))
                best[name] = min(known[0], seconds - preview), min(known[1], seconds), min(known[2], stall)
        theirs, ours = best["delete_pattern"], best["purge, fast"]
        print(
            f"wall time: ratio {ours[0] / theirs[0]:.2f} (target <= 0.30), with its preview {ours[1] / theirs[1]:.2f}"
        )
        print(f"worst stall of another client: ratio {ours[2] / theirs[2]:.2f} (target <= 0.20)")
        shutil.rmtree(settings.RUN_DIR)


if __name__ == "__main__":
    main()

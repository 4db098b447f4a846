"""The pages of a cache with 1 M keys against one with 10 000, in one run: ``python -m benchmarks.pages [-n 1000000]``.

Target: at most 100 ms of server time for each page and card, and no more than with 10 000 keys.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time

from benchmarks import site_for

SMALL = 10_000
TARGET = 100  # milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    from embedded import running

    from benchmarks.keyspace_data import fill

    with running() as small, running() as big:
        site_for({"default": big.url, "small": small.url})
        seconds = fill(small.url, SMALL) + fill(big.url, options.n, shrink=8)
        print(f"filled {SMALL} and {options.n} keys in {seconds:.0f} s")
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test import Client

        from cache_admin.adapters import adapter
        from cache_admin.keyspace import reports
        from cache_admin.keyspace.census import Census
        from cache_admin.panels.base import all_panels

        call_command("migrate", verbosity=0)
        client = Client()
        client.force_login(User.objects.create_superuser("admin", password="admin"))
        base = "/admin/cache_admin/cache/alias"

        def milliseconds(path: str) -> float:
            began = time.perf_counter()
            response = client.get(path, headers={"HX-Request": "true"} if "/cards/" in path else {})
            taken = (time.perf_counter() - began) * 1000
            if response.status_code != 200:
                raise SystemExit(f"{path}: {response.status_code}")
            return taken

        pages = ["", "patterns/", "large-keys/", *(f"cards/{panel.slug}/" for panel in all_panels())]
        for state in ("sampled", "complete census stored"):
            if state != "sampled":
                for alias in ("default", "small"):
                    census = Census(adapter(alias))
                    for page in adapter(alias).walk(census.choose):
                        census.feed(page)
                    reports.save(census.report())
            print(f"\n{state}: milliseconds, median of {options.repeat} (first request apart)")
            print(f"{'page':<28}{'first':>8}{'10 k':>8}{f'{options.n:,}':>12}{'ratio':>8}")
            for page in pages:
                milliseconds(f"{base}/small/{page}")
                first = milliseconds(f"{base}/default/{page}")
                pairs = [
                    (milliseconds(f"{base}/small/{page}"), milliseconds(f"{base}/default/{page}"))
                    for _ in range(options.repeat)
                ]
                few, many = (statistics.median(column) for column in zip(*pairs, strict=True))
                name = re.sub(r"^$", "dashboard", page.strip("/"))
                print(
                    f"{name:<28}{first:8.0f}{few:8.1f}{many:12.1f}{many / few:8.2f}{'' if many <= TARGET else '  OVER'}"
                )


if __name__ == "__main__":
    main()

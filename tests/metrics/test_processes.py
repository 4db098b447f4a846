"""Scrapes of a site of several processes: each tells the figures of all, also after one was killed or started anew."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cache_admin.monitoring.usage import encoded
from cache_admin.patterns import ID
from tests.conftest import StartSite


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as response:
        return str(response.read().decode())


def told(port: int) -> tuple[float, float, float]:
    """Hits, misses and servers that are up."""
    samples = [sample for family in text_string_to_metric_families(fetch(port, "metrics")) for sample in family.samples]
    named = [[s.value for s in samples if s.name == f"cache_admin_{name}"] for name in ("hits_total", "misses_total")]
    up = sum(sample.value for sample in samples if sample.name == "cache_admin_server_up")
    return sum(named[0]), sum(named[1]), up


def eventually(port: int, hits: int, misses: int) -> None:
    deadline, before = time.monotonic() + 30, (0.0, 0.0, 0.0)
    while (found := told(port)) != (hits, misses, 1):
        assert all(now >= then for now, then in zip(found[:2], before[:2], strict=True)), "it went backwards"
        assert time.monotonic() < deadline, f"{found} is not {hits} and {misses}"
        before = found
        time.sleep(0.2)


def give_a_place(site_database: Path) -> None:
    """A total at zero, which a pattern gets by itself only two minutes after its first operation."""
    totals = {encoded(b"product:" + ID): {"since": 0, "grown": int(time.time()), "counts": []}}
    with closing(sqlite3.connect(site_database, timeout=10)) as connection, connection:
        row = ("default", json.dumps(totals))
        connection.execute("INSERT INTO cache_admin_usagetotal (alias, totals) VALUES (?, ?)", row)


def test_every_process_tells_the_same_and_none_takes_counts_away(start_site: StartSite, site_database: Path) -> None:
    (killed, first), (_second, second) = start_site(), start_site()
    give_a_place(site_database)
    for port in (first, second, first):
        fetch(port, "1/")
        fetch(port, "2/")
    eventually(second, 4, 2)
    eventually(first, 4, 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert told(second) == (4, 2, 1)
    _third, third = start_site()
    assert told(third) == (4, 2, 1)
    fetch(third, "1/")
    fetch(second, "3/")
    eventually(third, 5, 3)
    eventually(second, 5, 3)

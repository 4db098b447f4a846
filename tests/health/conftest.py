"""Facts made up for pure tests, and servers of a test's own behind an alias."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.cache import caches
from embedded import Server, running

from cache_admin.adapters import adapter
from cache_admin.adapters import servers as known_servers
from cache_admin.adapters.server_info import ServerInfo
from cache_admin.health.counted import Counted
from cache_admin.health.facts import Facts, Stored
from cache_admin.health.finding import Finding, finders
from cache_admin.keyspace import leftovers, reports
from cache_admin.keyspace.census import sample
from cache_admin.monitoring import sampler
from cache_admin.monitoring.history import History, fold
from cache_admin.monitoring.usage import Counts
from tests.monitoring.conftest import info, reading

MB = 1024 * 1024
NOW = 1_795_600_000.0
EMPTY = fold([], NOW - 900, NOW)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    for forget in (sampler.forget, reports.forget, known_servers.forget):
        forget()
    yield
    for forget in (sampler.forget, reports.forget, known_servers.forget):
        forget()


def of_server(history: History = EMPTY, *, stored: Stored | None = None, **fields: Any) -> Facts:
    """Facts of an alias whose server says these things."""
    said = info(**fields)
    return Facts("default", adapter("locmem"), NOW, reading(said), history, stored or Stored())


def asked(
    hour: dict[bytes, Counts], before: dict[bytes, Counts] | None = None, *, hours: float = 24.0, share: float = 1.0
) -> Facts:
    """Facts of an alias without a server, of which the application asked so much."""
    return Facts("locmem", adapter("locmem"), NOW, stored=Stored(Counted(hour, before or {}, hours, share)))


def of_keys(alias: str, said: ServerInfo | None = None, history: History = EMPTY, now: float | None = None) -> Facts:
    """Facts from a look at all keys that an alias holds now. ``said`` in place of what its server says."""
    cache = adapter(alias)
    report = sample(cache, 5_000)
    known = Stored(report=report, leftovers=leftovers.of(report, cache.codec))
    answer = reading(said) if said else sampler.reading(alias)
    return Facts(alias, cache, now or report.started, answer, history, known)


def found(name: str, facts: Facts) -> list[Finding]:
    """What one finder says."""
    return list(finders.get(name)(facts))


def one(name: str, facts: Facts) -> Finding:
    """The only thing it says."""
    (finding,) = found(name, facts)
    return finding


@pytest.fixture
def alias_on(settings: Any) -> Iterator[Callable[..., tuple[str, Server]]]:
    """``alias_on("maxmemory 4mb")``: the alias ``own`` on a server with such a configuration."""
    with ExitStack() as stack:

        def make(*options: str, **entry: Any) -> tuple[str, Server]:
            server = stack.enter_context(running(options=options))
            core = settings.CACHES["core"]
            own = {"BACKEND": core["BACKEND"], "LOCATION": server.url, "KEY_PREFIX": "own", **entry}
            settings.CACHES = {**settings.CACHES, "own": own}
            return "own", server

        yield make
        caches["locmem"].clear()

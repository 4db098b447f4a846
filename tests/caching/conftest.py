"""Kinds of cache that the library is held to: each test that asks for ``kind`` runs on all of them."""

from __future__ import annotations

import gc
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.cache import caches
from django.core.management import call_command

BACKENDS = "django.core.cache.backends"
#: Threads and tasks of a test leave their connections to the collector.
LEFT = pytest.mark.filterwarnings("ignore::ResourceWarning")
KINDS = [
    *("locmem", "core", "default", "files"),
    pytest.param("table", marks=[pytest.mark.django_db(transaction=True), LEFT]),
    pytest.param("memcached", marks=LEFT),
]


@pytest.fixture(scope="session")
def memcached(memcached_binary: str) -> Iterator[Path]:
    """The socket of a memcached of this run's own."""
    socket = Path(project.RUN_DIR) / "memcached.sock"
    process = subprocess.Popen([memcached_binary, "-s", str(socket), "-u", "root", "-m", "64"])
    try:
        until = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < until:
            time.sleep(0.01)
        yield socket
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[str]:
    """An alias with an empty cache: local memory, Django's Redis, django-redis, files, a table, memcached."""
    alias: str = request.param
    if alias == "files":
        _add(settings, alias, "filebased.FileBasedCache", tmp_path)
    elif alias == "table":
        _add(settings, alias, "db.DatabaseCache", "cached_things")
        call_command("createcachetable", verbosity=0)
    elif alias == "memcached":
        _add(settings, alias, "memcached.PyMemcacheCache", f"unix:{request.getfixturevalue('memcached')}")
    elif alias in ("core", "default"):
        request.getfixturevalue("raw")
    if alias not in ("core", "default"):
        caches[alias].clear()
    yield alias
    if alias == "locmem":
        caches["locmem"].clear()
    if alias in ("table", "memcached"):
        caches[alias].close()
        gc.collect()


def _add(settings: Any, alias: str, backend: str, location: object) -> None:
    made = {"BACKEND": f"{BACKENDS}.{backend}", "LOCATION": str(location)}
    settings.CACHES = {**settings.CACHES, alias: made}


@pytest.fixture
def local() -> Iterator[str]:
    """The alias in local memory, empty."""
    caches["locmem"].clear()
    yield "locmem"
    caches["locmem"].clear()

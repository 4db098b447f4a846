"""Kinds of cache that the library is held to: each test that asks for ``kind`` runs on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

FILES = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"}


@pytest.fixture(params=["locmem", "core", "default", "files"])
def kind(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[str]:
    """An alias with an empty cache: local memory, Django's Redis, django-redis, files."""
    alias = request.param
    if alias == "files":
        settings.CACHES = {**settings.CACHES, "files": {**FILES, "LOCATION": str(tmp_path)}}
    if alias in ("core", "default"):
        request.getfixturevalue("raw")
    if alias == "locmem":
        caches["locmem"].clear()
    yield alias
    if alias == "locmem":
        caches["locmem"].clear()


@pytest.fixture
def local() -> Iterator[str]:
    """The alias in local memory, empty."""
    caches["locmem"].clear()
    yield "locmem"
    caches["locmem"].clear()

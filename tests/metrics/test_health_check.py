"""The check for django-health-check that the documentation gives, in the library itself."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings as project
from django.test import Client
from embedded import Server, running

from cache_admin.adapters import servers
from cache_admin.monitoring import sampler

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).parents[2] / "docs" / "health_check.md"


@pytest.fixture
def site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The documented URLconf, on a server of the test's own."""
    module = ModuleType("documented_health")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile("\n".join(blocks), str(PAGE), "exec", dont_inherit=True), module.__dict__)
    settings.ROOT_URLCONF = module
    with running() as server:
        places = {"default": f"{server.url}?db=0", "core": f"{server.url}?db=1"}
        settings.CACHES = {alias: {**project.CACHES[alias], "LOCATION": place} for alias, place in places.items()}
        yield server
    servers.forget()


def ask(client: Client) -> tuple[int, dict[str, str]]:
    response = client.get("/health/", {"format": "json"})
    return response.status_code, json.loads(response.content)


def test_a_cache_that_answers_is_well(site: Server, client: Client) -> None:
    assert ask(client) == (200, {"CacheFindings(alias='default')": "OK", "CacheFindings(alias='core')": "OK"})


def test_a_cache_that_does_not_answer_is_not(site: Server, client: Client) -> None:
    site.kill()
    sampler.forget()
    status, said = ask(client)
    assert status == 500
    assert all("refused" in sentence or "not answering" in sentence for sentence in said.values()), said

"""Pages over a link on which every answer takes 200 ms: slow, whole, and within three seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from django.test import Client, override_settings
from embedded import running

from cache_admin.adapters import servers
from cache_admin.keyspace import reports
from cache_admin.panels.base import all_panels
from tests.adapters.proxy import Proxy
from tests.views.conftest import key_url, text, url

pytestmark = pytest.mark.servers
LIMIT = 3.0  # seconds
PAGES = ["dashboard", "patterns", "large_keys", "keys", "invalidate"]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[redis.Redis]:
    """The alias ``default`` far away; yields a client that is near. No page has looked at it yet."""
    with running() as server, redis.Redis.from_url(server.url) as client:
        proxy = Proxy(tmp_path, server.socket)
        known = {**settings.CACHES}
        known["default"] = {**known["default"], "LOCATION": f"unix://{proxy.path}?db=0"}
        with override_settings(CACHES=known):
            caches["default"].set_many({f"product:{i}": {"price": i} for i in range(20_000)}, 3600)
            servers.forget()
            reports.forget()
            proxy.delay = 0.2
            yield client
        servers.forget()
        reports.forget()
        proxy.close()


def seconds(client: Client, path: str, data: dict[str, str] | None = None) -> tuple[float, str]:
    began = time.monotonic()
    response = client.post(path, data) if data else client.get(path)
    assert response.status_code == 200
    return time.monotonic() - began, text(response)


def test_every_page_is_there_in_time(client: Client, slow: redis.Redis) -> None:
    paths = [url(name, "default") for name in PAGES]
    paths += [url("card", "default", panel.slug) for place in ("dashboard", "head") for panel in all_panels(place)]
    paths += [key_url(b"shop:1:product:7"), url("keys", "default") + "?q=product:19"]
    late = {}
    for path in paths:
        taken, page = seconds(client, path)
        assert "not answering" not in page
        if taken > LIMIT:
            late[path] = taken
    assert not late


def test_a_preview_is_an_estimate_in_time(client: Client, slow: redis.Redis) -> None:
    asked = {"kind": "glob", "target": "product:*"}
    taken, page = seconds(client, url("invalidate_preview", "default"), asked)
    assert taken < LIMIT
    assert "\u2248" in page

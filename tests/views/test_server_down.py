"""Pages while the cache server does not answer: status 200, words, and nothing secret."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client, override_settings
from embedded import running

from cache_admin.models import Operation
from tests.views.conftest import key_url, text, url

pytestmark = pytest.mark.servers
PAGES = ["patterns", "large_keys", "keys", "invalidate", "patterns_export"]


@pytest.fixture(scope="module")
def dead_url() -> Iterator[str]:
    with running() as server:
        server.kill()
        yield server.url


@pytest.fixture
def down(dead_url: str) -> Iterator[None]:
    caches = {**settings.CACHES}
    caches["default"] = {**caches["default"], "LOCATION": f"{dead_url.replace('unix://', 'unix://user:hunter2@')}?db=0"}
    with override_settings(CACHES=caches):
        yield


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_that_the_server_is_down(client: Client, down: None, name: str) -> None:
    args = ("default", "csv") if name == "patterns_export" else ("default",)
    began = time.monotonic()
    response = client.get(url(name, *args), {"target": "product:*"})
    assert time.monotonic() - began < 3
    assert response.status_code == 200
    page = text(response)
    assert "default" in page
    assert "ca-error" in page
    assert "ca-tabs" in page
    assert "hunter2" not in page
    assert "Traceback" not in page


def test_a_key_says_that_the_server_is_down(client: Client, down: None) -> None:
    response = client.get(key_url(b"shop:1:a"))
    assert response.status_code == 200
    assert "ca-notice-bad" in text(response)
    assert "This key is gone" not in text(response)


def test_changes_are_refused_or_recorded_as_not_done(client: Client, down: None) -> None:
    asked = client.post(url("invalidate_confirm", "default"), {"kind": "glob", "target": "product:*"})
    assert asked.status_code == 200
    assert "token" not in asked.context
    client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete"})
    assert not Operation.objects.filter(state="done").exists()
    client.post(url("census_start", "default"))
    operation = Operation.objects.get(kind="census")
    assert operation.state == "interrupted"
    assert client.get(url("operation", operation.pk)).status_code == 200


def test_other_caches_and_the_operations_still_work(client: Client, down: None) -> None:
    assert client.get(url("operations")).status_code == 200
    assert "ca-error" not in text(client.get(url("keys", "locmem"), {"exact": "a"}))

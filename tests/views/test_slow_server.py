"""A server that answers late, here because it was paused: pages and a running scan say so, with the time it took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client
from embedded import running

from cache_admin.adapters import servers
from cache_admin.health import facts
from cache_admin.models import Operation, ServerSample
from cache_admin.monitoring import sampler
from cache_admin.operations import census, driving, purge, runner
from cache_admin.operations.base import Plan
from cache_admin.operations.targets import Target
from tests.views.conftest import text, url

pytestmark = pytest.mark.servers
HTMX = {"HX-Request": "true"}
SLOW = re.compile(r"answers slowly: \d\.\d\xa0s")


@pytest.fixture
def server(settings: Any) -> Iterator[redis.Redis]:
    """A client of the server behind ``default``, which no page has looked at."""
    with running() as server, redis.Redis.from_url(server.url) as client:
        settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": server.url}}
        caches["default"].set_many({f"product:{i}": i for i in range(12_000)}, 3600)
        forget()
        yield client
    forget()


def forget() -> None:
    for module in (servers, sampler, facts):
        module.forget()


def look_again() -> None:
    """Lets the next page ask the server, whatever was read last."""
    ServerSample.objects.all().delete()
    sampler.forget()
    time.sleep(1.0)  # for which a process goes on with one INFO


def test_the_dashboard_and_the_overview_say_how_long_the_last_answer_took(client: Client, server: redis.Redis) -> None:
    cards = {slug: url("card", "default", slug) for slug in ("headline", "summary", "health")}
    for path in cards.values():
        assert "answers slowly" not in text(client.get(path))
    look_again()
    server.client_pause(1_300, all=True)
    for slug, path in cards.items():
        assert SLOW.search(text(client.get(path))), slug
    look_again()
    assert "answers slowly" not in text(client.get(cards["headline"]))


def told(client: Client, plan: Plan, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> tuple[Operation, list[str]]:
    """Runs a plan on a server that stands still in the middle; what the card of the operation said after each save."""
    monkeypatch.setattr(driving, "TICK", 0.0)
    said: list[str] = []
    paused = []

    def watch(row: Operation) -> None:
        said.append(" ".join(text(client.post(url("operation_progress", row.pk), headers=HTMX)).split()))
        if not paused and row.scanned:
            paused.append(raw.client_pause(800, all=True))

    operation, _created = runner.begin(plan, client.user)  # type: ignore[attr-defined]
    return runner.run(operation, watch), said


def test_a_scan_says_that_it_goes_on_in_smaller_steps(
    client: Client, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, said = told(client, census.plan("default", fast=True), server, monkeypatch)
    assert operation.state == "done"
    slow = [card for card in said if "answers slowly" in card]
    assert slow
    assert re.search(r"answers slowly: \d{3} ms for the last command. Scanning in smaller steps, 500 keys", slow[0])
    assert re.search(r"answered slowly at \d\d:\d\d:\d\d: \d{3} ms for one command. Scanning", " ".join(said))
    over = " ".join(text(client.get(url("operation", operation.pk))).split())
    assert re.search(r"answered slowly at \d\d:\d\d:\d\d: \d{3} ms for one command\.</p>", over)


def test_a_purge_says_it_as_well(client: Client, server: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = purge.plan("default", [Target("glob", b"product:*")], user=client.user, fast=True)  # type: ignore[attr-defined]
    operation, said = told(client, planned, server, monkeypatch)
    assert (operation.state, operation.done_keys) == ("done", 12_000)
    assert any(re.search(r"answers slowly: \d{3} ms for the last command\.<", card) for card in said)


def test_a_server_that_answers_in_time_is_not_mentioned(client: Client) -> None:
    operation = Operation.objects.create(kind="census", alias="default", state="done", summary="Scan.", username="mia")
    assert "slowly" not in text(client.get(url("operation", operation.pk)))

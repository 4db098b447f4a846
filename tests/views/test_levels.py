from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from cache_admin.caching import purging
from cache_admin.caching.levels import conditional_page
from cache_admin.models import Tally, Usage
from cache_admin.monitoring import tallies
from cache_admin.monitoring.usage import Counts, dump
from tests.views.conftest import text, url

HTMX = {"HX-Request": "true"}


def levels(client: Client) -> str:
    return text(client.get(url("levels"), headers=HTMX))


@pytest.fixture
def away() -> Iterator[str]:
    class Away:
        def purge(self, urls: Sequence[str], tags: Sequence[str]) -> None:
            raise ConnectionRefusedError("nobody listens")

    with purging.purgers.temporarily("varnish", Away()):
        yield "varnish"


@pytest.mark.sqlite
def test_every_level_says_what_is_known_and_how_to_get_the_rest(client: Client, raw: redis.Redis) -> None:
    shown = levels(client)
    for words in ("Browser", "CDN or proxy", "Application", "Query", "Database", "access log", "varnishstat"):
        assert words in shown, words
    for alias in ("default", "core", "json", "locmem"):
        assert url("dashboard", alias) in shown
    assert "does not tell how often its page cache is hit" in shown
    assert "SQLite" in shown


def test_the_share_of_304_is_counted(client: Client, raw: redis.Redis) -> None:
    @conditional_page(etag=lambda request: "v1")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("x")

    first = view(RequestFactory().get("/"))
    view(RequestFactory(headers={"if-none-match": first["ETag"]}).get("/"))
    assert "were “not modified”" in levels(client)


def test_what_other_processes_did_is_counted_too(
    client: Client, raw: redis.Redis, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "_sources", {"answers": dict, "proxies": dict})
    Tally.objects.create(
        name="answers", since=1.7e9, figures={"conditional_page": {"answered": 1_200, "not_modified": 300}}
    )
    Tally.objects.create(name="proxies", since=1.7e9, figures={away: {"purged": 77, "failed": 0, "retried": 5}})
    shown = levels(client)
    assert "25.0\u00a0% of the answers were “not modified”: 300 of 1,200." in shown
    assert "of all processes of this site since 11/14/2023" in shown
    assert '<td class="ca-num">77</td>' in shown
    assert "worker process alone" not in shown


def test_the_hit_rate_of_the_site_stands_before_that_of_the_server(client: Client, raw: redis.Redis) -> None:
    at = int(time.time()) - 120
    Usage.objects.create(level=0, alias="locmem", at=at, source="p", counts=dump({b"product:\0": Counts(3, 1)}))
    link = f'<a href="{url("hit_rates", "locmem")}">75.0\u00a0%</a>'
    assert link in levels(client)


def test_a_proxy_that_does_not_answer_is_told(client: Client, raw: redis.Redis, away: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(purging, "ATTEMPTS", (0.0,))
    purging.purge(["/a/"])
    assert purging.wait(5)
    shown = levels(client)
    assert "varnish" in shown
    assert "ConnectionRefusedError" in shown


def test_the_page_asks_no_server_and_no_counter(client: Client, raw: redis.Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr("cache_admin.views.levels.database_figures", lambda alias: 1 / 0)
    page = client.get(url("levels"))
    assert page.status_code == 200
    assert f'hx-get="{url("levels")}"' in text(page)


def test_a_silent_server_is_said(client: Client, raw: redis.Redis, settings: Any) -> None:
    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {**settings.CACHES, "away": nowhere}
    assert "refused connection" in levels(client)


def test_hit_rates_of_the_servers_are_shown(client: Client, raw: redis.Redis) -> None:
    caches["default"].set("a", 1)
    caches["default"].get("a")
    assert "%" in levels(client)

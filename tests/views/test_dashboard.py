"""The page of one alias: skeleton first, cards by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.test import Client

from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.panels import base

from .conftest import SignIn, text, url

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    base._snapshots.clear()
    yield
    sampler.forget()


def test_the_page_opens_without_touching_the_cache(client: Client, raw: redis.Redis):
    before = raw.info("stats")["total_commands_processed"]
    page = text(client.get(url("dashboard", "default")))
    assert raw.info("stats")["total_commands_processed"] - before == 1
    for panel in base.all_panels():
        assert url("card", "default", panel.slug) in page


def test_the_page_opens_when_the_server_is_gone(client: Client, settings: Any):
    entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": "unix:///nowhere/server.sock"}
    settings.CACHES = {**settings.CACHES, "gone": entry}
    assert client.get(url("dashboard", "gone")).status_code == 200
    for panel in base.all_panels():
        assert client.get(url("card", "gone", panel.slug), headers=HTMX).status_code == 200


@pytest.mark.parametrize("slug", ["server", "memory", "hit_rate", "operations_per_second", "evictions", "headline"])
def test_a_card_is_a_fragment(slug: str, client: Client, cache: Any):
    card = client.get(url("card", "default", slug), headers=HTMX)
    assert card.status_code == 200
    assert "<html" not in text(card)
    assert "This card failed" not in text(card)


def test_cards_show_units_and_what_they_are_of(client: Client, cache: Any):
    cache.set("a", 1)
    cache.get("a")
    assert "MB" in text(client.get(url("card", "default", "memory")))
    assert "whole server" in text(client.get(url("card", "default", "memory")))
    assert "whole server" in text(client.get(url("card", "default", "hit_rate")))
    assert "/s" in text(client.get(url("card", "default", "operations_per_second")))


def test_every_chart_has_a_table_twin(client: Client, raw: redis.Redis):
    for slug in ("memory", "hit_rate", "operations_per_second", "evictions"):
        card = text(client.get(url("card", "default", slug)))
        assert f'id="ca-data-{slug}"' in card
        assert "<details" in card
        assert "<table" in card


def test_no_lookups_is_said_in_words(client: Client, raw: redis.Redis):
    raw.config_resetstat()
    sampler.forget()
    card = text(client.get(url("card", "default", "hit_rate")))
    assert "no look-ups" in card or "since its start" in card
    assert ">0\u00a0%" not in card


def test_a_kind_of_cache_without_server_says_once_which_cards_it_lacks(client: Client):
    page = text(client.get(url("dashboard", "locmem")))
    assert page.count("This kind of cache has no server that counts. So there is no card for: Server, Memory,") == 1
    assert url("card", "locmem", "memory") not in page
    assert url("card", "locmem", "health") in page


def test_tabs_are_those_that_the_kind_of_cache_has(client: Client, raw: redis.Redis):
    for alias, has in (("locmem", False), ("default", True)):
        page = text(client.get(url("dashboard", alias)))
        for name in ("patterns", "large_keys", "forecast", "leftovers"):
            assert (f'href="{url(name, alias)}"' in page) is has
        for name in ("keys", "hit_rates", "health", "invalidate"):
            assert f'href="{url(name, alias)}"' in page


def test_a_scan_of_what_cannot_be_listed_is_refused_and_leaves_no_row(client: Client):
    answer = text(client.post(url("census_start", "locmem")))
    assert "cannot list its keys: only one key at a time can be looked up and deleted." in answer
    assert not Operation.objects.exists()


def test_fifty_tabs_are_one_info(client: Client, raw: redis.Redis):
    before = raw.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]
    for _tab in range(50):
        client.get(url("card", "default", "memory"), headers=HTMX)
    assert raw.info("commandstats")["cmdstat_info"]["calls"] - before <= 2


def test_polling_scans_nothing_and_writes_no_session(client: Client, raw: redis.Redis):
    raw.config_resetstat()
    for panel in base.all_panels():
        if panel.live:
            response = client.get(url("card", "default", panel.slug), headers=HTMX)
            assert "sessionid" not in response.cookies
    assert "cmdstat_scan" not in raw.info("commandstats")


def test_the_audit_card_is_left_out_without_its_permission(sign_in: SignIn):
    client = sign_in("view_cache")
    assert "recent_operations" not in text(client.get(url("dashboard", "default")))
    assert client.get(url("card", "default", "recent_operations")).status_code == 403


@pytest.mark.parametrize("alias", ["nope", "__class__", "<b>"])
def test_an_unknown_alias_is_not_found(alias: str, client: Client):
    assert client.get(url("dashboard", alias)).status_code == 404


def test_an_unknown_card_is_not_found(client: Client):
    assert client.get(url("card", "default", "nope")).status_code == 404


def test_an_expired_session_sends_the_page_to_the_login(client: Client):
    client.logout()
    page = url("dashboard", "default")
    card = client.get(url("card", "default", "memory"), headers={**HTMX, "HX-Current-URL": f"http://testserver{page}"})
    assert card.headers["HX-Redirect"] == f"/admin/login/?next={quote(page, safe='')}"
    assert "<form" not in text(card)


@pytest.mark.parametrize("alias", ["operations", "find"])
def test_an_alias_may_be_named_like_a_page(alias: str, client: Client, settings: Any):
    settings.CACHES = {**settings.CACHES, alias: settings.CACHES["dummy"]}
    page = client.get(url("dashboard", alias))
    assert page.context["alias"] == alias


@pytest.mark.parametrize("query", ["?every=0", "?poll=1ms", "?refresh=0"])
def test_the_interval_is_the_servers(query: str, client: Client):
    assert 'data-refresh="5"' in text(client.get(url("dashboard", "default") + query))


def test_switched_off_refresh_has_no_pause_button(client: Client, settings: Any):
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "REFRESH_SECONDS": 0}
    assert "data-ca-pause" not in text(client.get(url("dashboard", "default")))

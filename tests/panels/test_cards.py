"""Every card: filled, refused, silent, impossible, broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from embedded import Server, running

from cache_admin.adapters import adapter
from cache_admin.adapters import servers as known_servers
from cache_admin.exceptions import NotPermitted
from cache_admin.keyspace import reports
from cache_admin.monitoring import sampler
from cache_admin.panels import base
from cache_admin.panels.base import Card, Panel, card, drawn, panels, why_disabled
from cache_admin.panels.top_patterns import parts

base.discover()
ALL = panels.names()
SERVER_CARDS = ("server", "memory", "hit_rate", "operations_per_second", "evictions")
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    for forget in (sampler.forget, reports.forget, base._snapshots.clear):
        forget()
    yield
    for forget in (sampler.forget, reports.forget, base._snapshots.clear):
        forget()


@pytest.fixture
def brief(settings: Any) -> Iterator[Server]:
    """The alias ``brief`` on a server of its own, with ten keys."""
    with running() as server:
        entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": server.url, "KEY_PREFIX": "b"}
        settings.CACHES = {**settings.CACHES, "brief": entry}
        caches["brief"].set_many({f"product:{i}": "x" * 100 for i in range(10)})
        yield server


@pytest.mark.parametrize("slug", ALL)
def test_a_card_is_filled(slug: str, brief: Server):
    filled = card(panels.get(slug), adapter("brief"))
    assert filled.context is not None
    assert (filled.error, filled.stale) == ("", "")


@pytest.mark.parametrize("slug", [*SERVER_CARDS, "top_patterns", "large_keys", "contents"])
def test_a_card_of_a_silent_server_says_so(slug: str, brief: Server):
    brief.kill()
    known_servers.forget()
    silent = card(panels.get(slug), adapter("brief"))
    assert silent.context is None
    assert "refused connection" in silent.error


@pytest.mark.parametrize("slug", [*SERVER_CARDS, "top_patterns", "large_keys", "contents"])
def test_the_last_figures_stay_when_the_server_goes(slug: str, brief: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampler, "STEP", 0.001)
    monkeypatch.setattr(reports, "SAMPLE_SECONDS", 0.0)
    before = card(panels.get(slug), adapter("brief"))
    brief.kill()
    known_servers.forget()
    after = card(panels.get(slug), adapter("brief"))
    assert after.context is not None
    assert set(after.context) == set(before.context or ())
    assert "refused connection" in after.stale


@pytest.mark.parametrize(
    ("slug", "forbidden"),
    [*((slug, "info") for slug in SERVER_CARDS), ("top_patterns", "scan"), ("large_keys", "scan")],
)
def test_a_card_names_the_command_that_is_not_permitted(slug: str, forbidden: str, settings: Any):
    with running() as server:
        client = redis.Redis.from_url(server.url)
        client.execute_command("ACL", "SETUSER", "watcher", "on", ">pw", "~*", "+@all", f"-{forbidden}")
        client.close()
        location = f"unix://watcher:pw@{server.socket}"
        entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": location}
        settings.CACHES = {**settings.CACHES, "brief": entry}
        refused = card(panels.get(slug), adapter("brief"))
    assert refused.context is None
    assert f"not permitted: +{forbidden}" in refused.error


@pytest.mark.parametrize("alias", ["locmem", "dummy"])
def test_a_card_that_a_kind_of_cache_cannot_have_is_disabled_with_the_reason(alias: str):
    for panel in base.all_panels():
        assert bool(why_disabled(panel, adapter(alias))) == bool(panel.requires)
    context = card(panels.get("summary"), adapter(alias)).context or {}
    assert (context["info"], context["verdict"]) == (None, None)


def test_a_failure_in_code_or_template_stays_in_its_card(caplog: pytest.LogCaptureFixture):
    class Wrong(Panel):
        def context(self, adapter: Any) -> dict[str, Any]:
            raise ZeroDivisionError("secret detail")

    def text(shown: Card) -> str:
        return shown.error

    assert "This card failed" in drawn(Wrong(), adapter("locmem"), text)

    def draw(shown: Card) -> str:
        if shown.error:
            return shown.error
        raise ZeroDivisionError("secret detail")

    drawing = drawn(panels.get("summary"), adapter("locmem"), draw)
    assert "This card failed" in drawing
    assert "secret" not in drawing
    assert caplog.text.count("ZeroDivisionError: secret detail") == 2


def test_refusals_are_not_remembered_as_figures():
    class Shy(Panel):
        def context(self, adapter: Any) -> dict[str, Any]:
            raise NotPermitted("not permitted: +info", "info")

    assert card(Shy(), adapter("locmem")) == Card(error="not permitted: +info")


def test_the_bar_is_full_and_has_six_hues_at_most(raw: redis.Redis):
    cache = caches["default"]
    for family in "abcdefghij":
        cache.set_many({f"{family}{family}{family}:{i}": "x" * 50 for i in range(20)})
    report = reports.current("default")
    found = parts(report)
    assert [part.hue for part in found] == [1, 2, 3, 4, 5, 6]
    assert sum(float(part.width.rstrip("%")) for part in found) == pytest.approx(100, abs=0.1)
    assert sum(part.amount.value for part in found) == pytest.approx(report.own_size.value)
    assert found[-1].name == "everything else"


def test_looking_again_and_again_scans_once(raw: redis.Redis):
    caches["default"].set("product:1", 1)
    for _poll in range(20):
        for slug in ("top_patterns", "large_keys", "contents"):
            card(panels.get(slug), adapter("default"))
    first = raw.info("commandstats")["cmdstat_scan"]["calls"]
    for slug in ("top_patterns", "large_keys", "contents"):
        card(panels.get(slug), adapter("default"))
    assert raw.info("commandstats")["cmdstat_scan"]["calls"] == first

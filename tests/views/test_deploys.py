"""The page Deploys: did the last one hurt, and how to mark one."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.test import Client
from embedded import running

from cache_admin.keyspace import reports
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import deploys
from cache_admin.monitoring.usage import Counts, dump
from cache_admin.operations import deploying
from cache_admin.patterns import ID
from tests.views.conftest import text, url

HTMX = {"HX-Request": "true"}


@pytest.fixture
def deploy(raw: redis.Redis, db: None, settings: Any) -> Deploy:
    """One that cost ``product:*`` its hits, took ``old:*`` away and brought ``extra:*``, twelve minutes ago."""
    settings.CACHE_ADMIN = {"RUNNER": "inline", "RECORDING": True}
    cache = caches["default"]
    cache.set_many({f"{name}:{i}": "x" for name in ("product", "old", "calm") for i in range(40)}, 3_600)
    made = deploying.mark("2026.11.2", "olga")
    made.at = time.time() - 720
    made.save()
    for at, product in ((made.at - 200, Counts(820, 180)), (made.at + 200, Counts(440, 560))):
        counted = {b"product:" + ID: product, b"calm:" + ID: Counts(500, 10)}
        Usage.objects.create(level=60, alias="default", at=int(at) - int(at) % 60, counts=dump(counted))
    cache.delete_many([f"old:{i}" for i in range(40)])
    cache.set_many({f"extra:{i}": "x" for i in range(40)}, None)
    reports.forget()
    return made


def shown(client: Client, query: str = "") -> str:
    """The comparison as it loads."""
    return " ".join(text(client.get(url("deploys") + query, headers=HTMX)).split())


def test_without_a_deploy_the_page_says_how_to_mark_one(client: Client, raw: redis.Redis) -> None:
    page = text(client.get(url("deploys")))
    assert "manage.py cache_deploy" in page
    assert "RELEASE" in page
    assert client.get(url("deploys_export", "csv")).status_code == 200


def test_the_page_itself_asks_no_server(client: Client, deploy: Deploy) -> None:
    page = text(client.get(url("deploys")))
    assert "2026.11.2" in page
    assert "calm:" not in page
    assert 'hx-trigger="load, ca:refresh from:body"' in page


def test_the_verdict_is_one_sentence_and_the_worst_stands_first(client: Client, deploy: Deploy) -> None:
    found = shown(client)
    assert "1 pattern worse, 1 vanished, 1 new and never expires" in found
    assert "since 2026.11.2," in found
    assert "hit rate \u221238 points" in found
    assert "82.0 % →" in found
    places = [found.index(words) for words in ("hit rate \u2212", ">new and never expires<", ">vanished<", "as before")]
    assert places == sorted(places)
    assert "look again later for the whole 1 h" in found
    assert "11 min after against 11 min before" in found or "10 min after" in found


def test_the_table_can_be_filtered(client: Client, deploy: Deploy) -> None:
    vanished = shown(client, "?show=vanished")
    assert "old:" in vanished
    assert "calm:" not in vanished
    assert "calm:" in shown(client, "?q=CALM")
    assert "No pattern fits this filter." in shown(client, "?q=nothing")
    assert "calm:" not in shown(client, "?alias=core")


def test_the_table_as_a_file(client: Client, deploy: Deploy) -> None:
    response = client.get(url("deploys_export", "csv"))
    rows = {row["pattern"]: row for row in csv.DictReader(io.StringIO(text(response)))}
    assert 'filename="deploy-2026.11.2.csv"' in response["Content-Disposition"]
    assert (rows["product:*"]["hit_rate_before"], rows["product:*"]["hit_rate_after"]) == ("0.82", "0.44")
    assert (rows["old:*"]["keys_before"], rows["old:*"]["keys_after"], rows["old:*"]["verdicts"]) == (
        "40",
        "0",
        "vanished",
    )
    told = json.loads(client.get(url("deploys_export", "json") + "?show=worse").content)
    assert told["deploy"]["label"] == "2026.11.2"
    assert [row["pattern"] for row in told["patterns"]] == ["product:*", "extra:*"]
    assert told["patterns"][0]["kinds"] == ["hit_rate"]
    assert client.get(url("deploys_export", "csv").replace("csv", "xml")).status_code == 404


def test_other_stretches_and_older_deploys_can_be_opened(client: Client, deploy: Deploy) -> None:
    old = deploys.mark("2026.11.1", at=deploy.at - 300)
    deploys.keep_verdicts(old, {"worse": 2})
    page = text(client.get(url("deploys") + "?window=15m"))
    assert "2 patterns worse" in page
    assert f"?deploy={old.pk}" in page
    found = shown(client, f"?deploy={old.pk}")
    assert "since 2026.11.1" in found
    assert "Then came the next deploy." in found
    for wrong in ("0", "abc", "9" * 30, "-1"):
        assert client.get(url("deploys") + f"?deploy={wrong}").status_code == 404
    assert client.get(url("deploys") + "?window=99y").status_code == 200


def test_it_is_too_early_right_after(client: Client, raw: redis.Redis) -> None:
    deploying.mark("now")
    assert "Too early for hit rates" in shown(client)


def test_of_many_deploys_the_latest_are_listed_and_nothing_says_that_these_are_all(
    client: Client, raw: redis.Redis
) -> None:
    for i in range(52):
        deploys.mark(f"release-{i:02}", at=1_000.0 + i)
    page = text(client.get(url("deploys")))
    assert "Latest deploys" in page
    assert ">release-02<" in page
    assert ">release-01<" not in page


def test_a_label_is_only_text(client: Client, raw: redis.Redis) -> None:
    deploys.mark("<script>alert(1)</script>")
    assert "<script>alert" not in shown(client)
    assert "<script>alert" not in text(client.get(url("deploys")))


def test_a_silent_server_is_said_and_the_rest_stands(client: Client, deploy: Deploy, settings: Any) -> None:
    with running() as other:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {**settings.CACHES, "away": {"BACKEND": backend, "LOCATION": other.url}}
        other.kill()
        began = time.monotonic()
        found = shown(client)
    assert time.monotonic() - began < 3
    assert "What away holds now is not known" in found
    assert "hit rate \u221238 points" in found


def test_keys_of_an_old_version_are_named(client: Client, deploy: Deploy, settings: Any) -> None:
    aliases = {**settings.CACHES, "default": {**settings.CACHES["default"], "VERSION": 2}}
    settings.CACHES = aliases
    reports.forget()
    assert "default has a new version prefix: 120 keys of version 1 left behind" in shown(client)


def test_the_overview_leads_to_it(client: Client, raw: redis.Redis) -> None:
    assert url("deploys") in text(client.get(url("cache_changelist")))

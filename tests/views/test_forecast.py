from __future__ import annotations

import time

import pytest
import redis
from django.test import Client

from cache_admin.keyspace import reports
from cache_admin.models import CensusReport
from tests.views.conftest import text, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def catalog(raw: redis.Redis) -> redis.Redis:
    """1 200 keys that expire at once in some minutes, and as many that never do."""
    if (left := 60 - time.time() % 60) < 4:
        time.sleep(left)
    life = round(1000 * (60 * 8 + 30 - time.time() % 60))
    pipe = raw.pipeline(transaction=False)
    for i in range(1_200):
        pipe.set(f"shop:1:catalog:{i}", "x", px=life)
        pipe.set(f"shop:1:user:{i}", "x")
    pipe.execute()
    return raw


def test_the_cliff_is_named_with_what_softens_it(client: Client, catalog: redis.Redis) -> None:
    page = text(client.get(url("forecast", "default")))
    assert "1,200 keys of catalog:* expire at" in page
    assert "Expire it over 10 minutes instead" in page
    assert "when=spread" in page
    assert "No cliff ahead" not in page


def test_whoever_may_not_invalidate_is_offered_no_link_to_it(sign_in, catalog: redis.Redis) -> None:
    page = text(sign_in("view_cache").get(url("forecast", "default")))
    assert "1,200 keys of catalog:* expire at" in page
    assert "when=spread" not in page


def test_the_card_names_the_first_cliff(client: Client, catalog: redis.Redis) -> None:
    card = text(client.get(url("card", "default", "expiring")))
    assert "1,200 keys of catalog:* expire at" in card
    assert 'data-kind="bar"' in card


def test_an_old_scan_says_how_far_it_reaches(client: Client, catalog: redis.Redis) -> None:
    client.post(url("census_start", "default"))
    stored = CensusReport.objects.get()
    for age, words in ((1_200, "tells of the next 40 minutes only"), (4_000, "more than an hour old")):
        stored.report["started"] = time.time() // 60 * 60 - age
        stored.pk = None
        stored.save()
        reports.forget()
        assert words in text(client.get(url("forecast", "default")))
    assert "more than an hour old" in text(client.get(url("card", "default", "expiring")))


def test_an_empty_cache_says_so(client: Client, raw: redis.Redis) -> None:
    assert "This cache is empty" in text(client.get(url("forecast", "default")))


def test_a_cache_that_cannot_list_says_why(client: Client, raw: redis.Redis) -> None:
    page = text(client.get(url("forecast", "locmem")))
    assert "Looking up and deleting one key by its exact name still works" in page

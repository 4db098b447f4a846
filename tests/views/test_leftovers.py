from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.core.cache import caches
from django.test import Client

from cache_admin import keys
from cache_admin.caching import owners
from cache_admin.keyspace import reports
from cache_admin.models import Growth, Operation, ValueReport
from tests.views.conftest import text, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def left(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """Products that are fine, baskets of a class that is gone, keys of an older version, profiles that never expire."""
    monkeypatch.setattr(owners, "_owners", {})
    cache = caches["default"]
    cache.set_many({f"product:{i}": {"name": f"P{i}"} for i in range(30)}, 3600)
    cache.set_many({f"profile:{i}": {"name": f"P{i}"} for i in range(20)}, None)
    raw.mset({f"shop:0:product:{i}": "x" for i in range(12)})
    for i in range(5):
        raw.set(f"shop:1:basket:{i}", b"\x80\x02cold_shop.models\nBasket\n)\x81.", ex=3600)
    raw.set("other:1:<b>x</b>", "x")
    return raw


def test_all_kinds_of_leftovers_stand_on_one_page(client: Client, left: redis.Redis) -> None:
    client.post(url("values_start", "default"))
    page = text(client.get(url("leftovers", "default")))
    assert "needs old_shop.models.Basket, and there is no such module" in page
    assert "5 of 5" in page
    assert keys.token(b"basket:\x00") in page
    assert "version 0 of this alias" in page
    assert "{**CACHES[&quot;default&quot;], &quot;VERSION&quot;: 0}" in page or '"VERSION": 0}' in page
    assert "A plain cache.set leaves no owner" in page
    assert "Keys without expiry" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page.replace("<wbr>", "")
    assert "<b>x</b>" not in page


def test_before_a_look_it_says_what_a_look_does(client: Client, left: redis.Redis) -> None:
    page = text(client.get(url("leftovers", "default")))
    assert "Nobody has looked at the values yet" in page
    assert not Operation.objects.exists()
    assert "not looked yet" in text(client.get(url("card", "default", "leftovers")))


def test_a_look_shows_its_progress_in_place(client: Client, left: redis.Redis) -> None:
    answer = client.post(url("values_start", "default"), headers={"HX-Request": "true"})
    assert answer.headers["HX-Trigger"] == '{"ca:operation-over": {}}'
    assert "Nothing was changed" in text(answer)
    assert ValueReport.objects.get().looked_at == 45
    assert "5</span>" in text(client.get(url("card", "default", "leftovers")))
    operation = Operation.objects.get()
    assert (operation.kind, operation.done_keys) == ("values", 0)
    assert "Look at values" in text(client.get(url("operations")))


def test_whoever_may_not_see_values_sees_the_button_switched_off(sign_in, left: redis.Redis) -> None:
    visitor = sign_in("view_cache")
    page = text(visitor.get(url("leftovers", "default")))
    assert "Needs the permission cache_admin.view_values." in page
    assert "/invalidate/?template=" not in page
    assert visitor.post(url("values_start", "default")).status_code == 403


def test_a_look_that_another_django_made_says_so(client: Client, left: redis.Redis) -> None:
    client.post(url("values_start", "default"))
    stored = ValueReport.objects.get()
    stored.report["django"] = "4.2.1"
    stored.save()
    assert "another Django now: look again" in text(client.get(url("leftovers", "default")))


def test_a_cache_that_cannot_list_cannot_be_looked_at(client: Client, raw: redis.Redis) -> None:
    assert "cannot be listed and read" in text(client.post(url("values_start", "locmem")))
    assert "Looking up and deleting one key" in text(client.get(url("leftovers", "locmem")))


def test_an_empty_cache_has_no_leftovers(client: Client, raw: redis.Redis) -> None:
    page = text(client.get(url("leftovers", "default")))
    assert "None: each pattern has a writer that is known." in page
    assert "None: every key that was asked has an expiry." in page


def test_a_look_that_read_nothing_praises_nothing(client: Client, raw: redis.Redis) -> None:
    client.post(url("values_start", "default"))
    page = text(client.get(url("leftovers", "default")))
    assert "No value was read, so nothing is known." in page
    assert "All of them can be read" not in page


def test_patterns_show_and_sort_by_growth(client: Client, left: redis.Redis) -> None:
    assert "Growth" not in text(client.get(url("patterns", "default")))
    reports.save(reports.current("default"))
    today = Growth.objects.get()
    before = {name: [keys_, size // 2, never] for name, (keys_, size, never) in today.contents.items()}
    before["profile:*"][1] *= 2
    Growth.objects.create(alias="default", day=today.day - timedelta(days=7), complete=True, contents=before)
    found = client.get(url("patterns", "default"), {"sort": "-growth"})
    assert next(row.pattern for row, _change in found.context["rows"]) == "product:*"
    assert [row.pattern for row, _change in found.context["rows"]][-1] == "profile:*"
    assert "±0" in text(found)
    opened = text(client.get(url("pattern", "default", keys.token(b"product:\x00"))))
    assert "more than 7 days ago" in opened
    assert "<polyline" in opened
    assert client.get(url("patterns_export", "default", "csv"), {"sort": "-growth"}).status_code == 200

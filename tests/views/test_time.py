"""Projects that keep local time, and those that write numbers and dates in their own way."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import timezone

from cache_admin.models import Deploy, Operation
from cache_admin.panels import base as cards
from cache_admin.views import listing

from .conftest import key_url, text, url

WAYS = [{"USE_TZ": False, "TIME_ZONE": "Asia/Kathmandu"}, {"LANGUAGE_CODE": "de", "USE_THOUSAND_SEPARATOR": True}]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way)))
def test_every_page_and_change_works(client: Client, raw: redis.Redis, settings: Any, way: dict[str, Any]) -> None:
    for name, value in way.items():
        setattr(settings, name, value)
    raw.mset({f"shop:1:product:{number}": "x" * (number % 500) for number in range(3000)})
    raw.set("shop:1:soon", "v", ex=5000)
    client.post(url("census_start", "default"))
    asked = client.post(url("invalidate_confirm", "default"), {"target": "product:1*"})
    client.post(url("invalidate_confirm", "default"), {"token": asked.context["token"]})
    client.post(key_url(b"shop:1:soon", name="key_change"), {"verb": "expire", "seconds": "100000"})
    assert list(Operation.objects.values_list("state", flat=True)) == ["done"] * 3
    today = f"{datetime.now(timezone.get_current_timezone()):%Y-%m-%d}"
    pages = [
        *(client.get(url(name, "default")) for name in ("dashboard", "patterns", "large_keys", "keys", "invalidate")),
        *(client.get(url("card", "default", panel.slug)) for panel in cards.all_panels()),
        client.get(key_url(b"shop:1:soon")),
        client.get(url("operations_export"), {"date": today}),
        client.get(url("cache_changelist")),
    ]
    assert {page.status_code for page in pages} == {200}
    assert "This card failed" not in "".join(map(text, pages))
    assert len(client.get(url("operations"), {"date": today}).context["rows"]) == 3


def test_what_programs_read_has_no_grouped_digits(
    client: Client, raw: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PER_PAGE", 1)
    settings.USE_THOUSAND_SEPARATOR = True
    settings.CACHE_ADMIN = {"REFRESH_SECONDS": 3600}
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "VERSION": 20_260_102}}
    raw.mset({f"shop:20260101:product:{number}": "x" for number in range(200)})
    Deploy.objects.bulk_create([Deploy(pk=1_234, label="one", at=1.0), Deploy(pk=1_235, label="two", at=2.0)])
    seen = [
        client.get(url("deploys"), {"deploy": "1234"}),
        client.get(url("deploys"), {"deploy": "1234", "q": "none"}, headers={"HX-Request": "true"}),
        client.get(url("leftovers", "default")),
        client.get(key_url(b"shop:20260102:a")),
    ]
    Operation.objects.bulk_create([Operation(kind="purge", alias="default", nonce=str(i)) for i in range(1_001)])
    seen.append(client.get(url("operations"), {"page": "1000"}))
    pages = "".join(map(text, seen))
    read = re.findall(r'(?:data-refresh|href|id|value)="([^"]*)"|"VERSION": ([^}]*)', pages)
    assert [part for part in map("".join, read) if re.search(r"\d,\d{3}", part)] == []
    assert {"?deploy=1235", "?&amp;page=1001", "3600", "20260101"} <= {"".join(part) for part in read}

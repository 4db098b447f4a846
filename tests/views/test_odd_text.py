"""Keys, reasons and names with a NUL, which PostgreSQL takes in no text, and longer than a column."""

from __future__ import annotations

import pytest
import redis
from django.core.management import call_command
from django.test import Client

from cache_admin.health.finding import Finding
from cache_admin.health.muting import mute
from cache_admin.models import Deploy, MutedFinding, Operation
from cache_admin.operations import deploying
from tests.views.conftest import key_url, text, url

pytestmark = pytest.mark.django_db

KEY = b"shop:1:a\x00b"
REASON = "customer\0 42 " + "x" * 500
WRITTEN = REASON.replace("\0", "\N{REPLACEMENT CHARACTER}")[:500]


def test_a_key_is_scanned_looked_at_and_deleted_for_a_reason(client: Client, raw: redis.Redis) -> None:
    raw.set(KEY, b"x\x00y")
    raw.set(b"shop:1:user:\x00:7:\xff", b"x")
    client.post(url("census_start", "default"))
    assert "All 2 keys" in text(client.get(url("card", "default", "top_patterns")))
    assert client.get(key_url(KEY)).status_code == 200
    client.post(key_url(KEY, name="key_change"), {"verb": "delete", "reason": REASON})
    assert not raw.exists(KEY)
    assert Operation.objects.filter(kind="edit", state="done").values_list("reason", flat=True).get() == WRITTEN
    assert "customer\N{REPLACEMENT CHARACTER} 42" in text(client.get(url("operations")))


def test_a_purge_keeps_what_was_said(raw: redis.Redis) -> None:
    raw.set(KEY, b"x")
    call_command("cache_purge", "a\0b", "--literal", "--yes", "--json", reason=REASON)
    assert not raw.exists(KEY)
    assert Operation.objects.get().reason == WRITTEN


def test_what_is_muted_and_marked_keeps_what_was_said() -> None:
    mute("default", Finding("no-limit", "warn", "has\0none"), reason=REASON, username="a\0" * 200)
    row = MutedFinding.objects.get()
    assert (row.reason, row.text, len(row.username)) == (WRITTEN, "has\N{REPLACEMENT CHARACTER}none", 200)
    deploying.mark("rel\0ease")
    assert Deploy.objects.get().label == "rel\N{REPLACEMENT CHARACTER}ease"


@pytest.mark.parametrize("name", ["operations", "operations_export", "find"])
def test_filters_find_nothing(client: Client, name: str) -> None:
    asked = dict.fromkeys(("user", "q", "state", "kind", "alias", "since"), "a\0")
    assert client.get(url(name), asked).status_code == 200

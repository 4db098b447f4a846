"""Keys, reasons and names with what no database, page or terminal should get: NUL, escapes, text that runs backwards;
and longer than a column."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client

from cache_admin.adapters import adapter
from cache_admin.health.checking import check
from cache_admin.health.finding import Finding
from cache_admin.health.muting import mute
from cache_admin.models import Deploy, MutedFinding, Operation
from cache_admin.monitoring import deploys
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


HOSTILE = '<script>alert(1)</script>\x1b[31m\u202egro.live\u2066\r\nFAILED {{7*7}} %s \udcff " hx-get="/x'
SAID = '<script>alert(1)</script>\ufffd[31m\ufffdgro.live\ufffd FAILED {{7*7}} %s \ufffd " hx-get="/x'


def test_a_hostile_reason_and_label_are_one_line_of_text_everywhere(client: Client, raw: redis.Redis) -> None:
    raw.set(b"shop:1:a", b"x")
    written = HOSTILE.replace("\udcff", "")
    client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete", "reason": written})
    finding = next(one for one in check(adapter("default")).findings)
    client.post(url("health_mute", "default"), {"code": finding.code, "reason": written})
    deploying.mark(HOSTILE, username=HOSTILE)
    operation = Operation.objects.get()
    said = SAID.replace('\ufffd "', ' "')
    assert (operation.reason, MutedFinding.objects.get().reason, Deploy.objects.get().label) == (said, said, SAID)
    pages = [
        client.get(path)
        for path in (
            url("operations"), url("operation", operation.pk), url("health", "default"), url("deploys"),
            url("hit_rates", "default"), url("card", "default", "hit_rate"), url("cache_changelist"),
        )
    ]  # fmt: skip
    files = [client.get(url("operations_export")), client.get(url("deploys_export", "csv"))]
    for response in [*pages, *files]:
        page = text(response)
        assert response.status_code == 200
        assert "<script>alert" not in page or response in files
        assert not {"\x1b", "\u202e", "\u2066"} & set(page)
        assert "49" not in page.partition("FAILED")[2][:20]
        assert 'hx-get="/x' not in page or response in files
    assert "\r" not in files[1]["Content-Disposition"]
    assert LogEntry.objects.latest("pk").change_message == f"Muted: {said}"
    out = StringIO()
    call_command("cache_health", alias=["default"], stdout=out)
    assert said in out.getvalue()


def test_languages_and_signs_of_several_parts_stay_as_they_were(client: Client, raw: redis.Redis) -> None:
    reason = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u2764\ufe0f \U0001f469\u200d\U0001f4bb \u05d0\u200f"
    raw.set(b"shop:1:a", b"x")
    client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete", "reason": reason})
    assert Operation.objects.get().reason == reason


def test_a_release_of_odd_text_is_marked_once(settings: Any) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RELEASE": f" {HOSTILE}\n"}
    for _process in range(3):
        assert deploying.conf.current().RELEASE
        deploys.Watch().look(deploying.conf.current().RELEASE)
    assert Deploy.objects.get().label == SAID


@pytest.mark.parametrize("kind", ["page", "fragment", "object", "user", "tag"])
def test_a_meaning_with_a_nul_means_nothing(client: Client, raw: redis.Redis, kind: str) -> None:
    typed = {"page": "/a\0/", "object": "auth.user:1\0", "user": "a\0"}.get(kind, "a\0b")
    response = client.post(url("meaning_confirm"), {"kind": kind, "target": typed, "more": "x\0"})
    assert response.status_code == 200
    assert "Nothing has a NUL character in its name" in text(response)
    assert not Operation.objects.exists()

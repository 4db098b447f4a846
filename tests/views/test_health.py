"""The page Health: what is read, muted and unmuted there, by whom, and when things are away."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.core.cache import caches
from django.db import connection
from django.test import Client

from cache_admin.adapters import servers
from cache_admin.health.finding import Finding, finders
from cache_admin.models import MutedFinding
from cache_admin.monitoring import sampler
from cache_admin.patterns import ID
from cache_admin.views.base import PERMISSIONS
from cache_admin.views.health import LABELS
from tests.views.conftest import SignIn, text, url

pytestmark = pytest.mark.usefixtures("raw")
MUTE = {"code": "no-limit", "reason": "The machine has nothing else to do."}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    yield
    sampler.forget()


def codes(page: Any) -> list[str]:
    """Codes of the findings on the page, those below the fold too, in order."""
    return re.findall(r'data-code="([^"]+)"', text(page))


class TestReading:
    def test_findings_worst_first_with_evidence_mend_and_link(self, client: Client, raw: redis.Redis) -> None:
        caches["default"].set_many({f"user:{i}:profile": "x" * 300 for i in range(150)}, None)
        page = client.get(url("health", "default"))
        assert page.status_code == 200
        assert codes(page) == ["no-limit", "no-expiry:user:*:profile", "recording-off"]
        shown = text(page)
        assert "2 things need a look." in shown
        assert "150 keys of user:*:profile never expire, and nothing evicts them" in shown
        assert "of the memory of this cache" in shown
        assert "Write them with a timeout" in shown
        assert f'href="{url("leftovers", "default")}"' in shown

    def test_one_verdict_stands_on_the_page(self, client: Client) -> None:
        # That beside the name asks less, so the two could differ.
        assert url("card", "default", "headline") in text(client.get(url("patterns", "default")))
        assert url("card", "default", "headline") not in text(client.get(url("health", "default")))

    def test_its_tab_and_its_card(self, client: Client) -> None:
        assert url("health", "default") in text(client.get(url("dashboard", "default")))
        card = text(client.get(url("card", "default", "health")))
        assert "no memory limit" in card
        assert "One thing needs a look." in card

    @pytest.mark.parametrize("alias", ["locmem", "dummy"])
    def test_a_cache_without_a_server(self, client: Client, alias: str) -> None:
        page = client.get(url("health", alias))
        assert "Healthy: nothing is wrong that can be seen from here." in text(page)
        assert codes(page) == ["recording-off"]

    def test_markup_in_a_pattern_stays_text(self, client: Client) -> None:
        caches["core"].set_many({f"<script>alert(x)</script>:{i}": "x" * 300 for i in range(150)}, None)
        shown = text(client.get(url("health", "core")))
        assert "&lt;script&gt;alert(x)" in shown
        assert "<script>alert" not in shown

    @pytest.mark.parametrize("link", LABELS)
    @pytest.mark.parametrize("template", [b"", b"product:" + ID])
    def test_each_link_leads_to_its_page(self, client: Client, link: str, template: bytes) -> None:
        caches["core"].set_many({f"product:{i}": 1 for i in range(3)}, 600)

        def find(known: object) -> list[Finding]:
            return [Finding("made-up", "bad", "linked", (), "Go there:", link, template)]

        with finders.temporarily("made-up", find):
            shown = text(client.get(url("health", "core"))).split("linked", 1)[1].split("</p>")[1]
        (target,) = re.findall(r'<a href="([^"]+)"', shown)
        assert client.get(target.replace("&amp;", "&")).status_code == 200

    def test_a_link_that_is_not_permitted_is_shown_with_the_reason(self, sign_in: SignIn) -> None:
        caches["core"].set("a", 1, 600)
        shown = text(sign_in("view_cache").get(url("health", "core")))
        assert "Needs the permission cache_admin.mute_findings." in shown
        assert "<form" not in shown.split("ca-health", 1)[1].split("</ol>")[0]


class TestMuting:
    def test_it_goes_below_with_who_when_and_why_until_it_is_unmuted(self, client: Client) -> None:
        answer = client.post(url("health_mute", "default"), MUTE)
        assert (answer.status_code, answer.url) == (302, f"{url('health', 'default')}#muted")
        shown = text(client.get(url("health", "default")))
        above, below = shown.split('id="muted"')
        assert "no memory limit" not in above
        assert "no memory limit" in below
        assert "Muted by operator on" in below
        assert "The machine has nothing else to do." in below
        for slug in ("headline", "summary", "health"):
            card = text(client.get(url("card", "default", slug)))
            assert "no memory limit" not in card, slug
            assert "healthy, but for one muted finding" in card or "Healthy" in card, slug
        client.post(url("health_unmute", "default"), {"code": "no-limit"})
        assert "no memory limit" in text(client.get(url("card", "default", "summary")))
        assert not MutedFinding.objects.exists()

    def test_of_one_alias_alone(self, client: Client) -> None:
        client.post(url("health_mute", "default"), MUTE)
        assert "no memory limit" in text(client.get(url("card", "core", "headline")))

    def test_both_are_in_the_history_of_the_admin(self, client: Client) -> None:
        client.post(url("health_mute", "default"), MUTE)
        client.post(url("health_unmute", "default"), {"code": "no-limit"})
        first, second = LogEntry.objects.order_by("pk")
        assert first.user.username == second.user.username == "operator"
        assert "nothing else to do" in first.change_message
        assert second.change_message.startswith("Unmuted; operator had muted it")
        assert client.get("/admin/").status_code == 200

    def test_the_history_leads_to_the_alias(self, client: Client, settings: Any) -> None:
        settings.CACHES = {**settings.CACHES, "long_term/2": settings.CACHES["default"]}
        client.post(url("health_mute", "long_term/2"), MUTE)
        (entry,) = LogEntry.objects.all()
        assert f'href="{entry.get_admin_url()}"' in text(client.get("/admin/"))
        assert client.get(entry.get_admin_url()).url == url("dashboard", "long_term/2")

    @pytest.mark.parametrize("reason", ["", "   "])
    def test_without_a_reason_nothing_is_muted(self, client: Client, reason: str) -> None:
        answer = client.post(url("health_mute", "default"), {**MUTE, "reason": reason})
        assert answer.status_code == 400
        assert "Say why" in text(answer)
        assert not MutedFinding.objects.exists()

    @pytest.mark.parametrize("code", ["nothing", "", "no-limit:x", "<script>"])
    def test_what_is_not_found_cannot_be_muted(self, client: Client, code: str) -> None:
        answer = client.post(url("health_mute", "default"), {**MUTE, "code": code})
        assert answer.status_code == 404
        assert "not found any more" in text(answer)
        assert not MutedFinding.objects.exists()

    def test_a_replayed_form_changes_nothing(self, client: Client, sign_in: SignIn) -> None:
        client.post(url("health_mute", "default"), MUTE)
        other = sign_in("view_cache", "mute_findings", name="max")
        other.post(url("health_mute", "default"), {**MUTE, "reason": "mine"})
        row = MutedFinding.objects.get()
        assert (row.username, row.reason) == ("operator", MUTE["reason"])
        assert LogEntry.objects.count() == 1
        for _ in range(2):
            assert client.post(url("health_unmute", "default"), {"code": "no-limit"}).status_code == 302
        assert LogEntry.objects.count() == 2

    @pytest.mark.parametrize("name", ["health_mute", "health_unmute"])
    def test_who_may(self, sign_in: SignIn, name: str) -> None:
        client = sign_in(*set(PERMISSIONS) - {"mute_findings"})
        assert client.post(url(name, "default"), MUTE).status_code == 403
        strict = sign_in(*PERMISSIONS, name="strict", enforce_csrf_checks=True)
        assert strict.post(url(name, "default"), MUTE).status_code == 403
        assert strict.get(url(name, "default"), MUTE).status_code == 405
        assert not MutedFinding.objects.exists()

    def test_looking_changes_nothing(self, client: Client) -> None:
        client.get(url("health", "default"), MUTE)
        assert not MutedFinding.objects.exists()


class TestTrouble:
    def test_a_server_that_is_down(self, client: Client, settings: Any) -> None:
        entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": "unix:///nowhere/server.sock"}
        settings.CACHES = {**settings.CACHES, "gone": entry}
        servers.forget()
        began = time.monotonic()
        page = client.get(url("health", "gone"))
        assert time.monotonic() - began < 3
        assert page.status_code == 200
        assert codes(page)[0] == "silent"
        assert "One thing is wrong." in text(page)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.sqlite
    def test_a_database_that_is_locked(self, client: Client) -> None:
        client.get(url("health", "default"))
        connection.ensure_connection()
        connection.cursor().execute("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            page = client.get(url("health", "default"))
            muting = client.post(url("health_mute", "default"), MUTE)
            other.execute("ROLLBACK")
        connection.close()
        assert page.status_code == 200
        assert "no-limit" in codes(page)
        assert muting.status_code == 503
        assert "is locked" in text(muting)
        assert not MutedFinding.objects.exists()

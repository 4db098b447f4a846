"""The dashboard on an admin site of the project's own, where the default one is not mounted at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import path

from cache_admin import keys
from cache_admin.admin import register
from cache_admin.models import Operation
from cache_admin.panels.base import all_panels
from tests.views.conftest import text

site = AdminSite(name="ops")
register(site)
register(site)  # harmless
urlpatterns = [path("office/", site.urls)]

HOME = "/office/cache_admin/cache/"
ALIAS = f"{HOME}alias/default/"
PAGES = [HOME, f"{HOME}operations/", f"{HOME}find/?q=a:1", f"{HOME}warmers/", ALIAS]
PAGES += [f"{ALIAS}{page}/" for page in ("patterns", "keys", "large-keys", "invalidate")]
PAGES += [f"{ALIAS}cards/{panel.slug}/" for place in ("dashboard", "head", "overview") for panel in all_panels(place)]


@pytest.fixture
def office(raw: redis.Redis, client: Client, admin_user: User) -> Iterator[Client]:
    raw.mset({f"shop:1:a:{number}": b"v" for number in range(20)})
    client.force_login(admin_user)
    with override_settings(ROOT_URLCONF=__name__):
        yield client


def test_its_index_leads_to_the_dashboard(office: Client) -> None:
    assert HOME in text(office.get("/office/"))


@pytest.mark.parametrize("page", [*PAGES, f"{ALIAS}keys/{keys.token(b'shop:1:a:1')}/"])
def test_every_link_stays_on_it(office: Client, page: str) -> None:
    response = office.get(page)
    assert response.status_code == 200
    links = re.findall(r'(?:href|action|hx-get|hx-post)="(/[^"]*)"', text(response))
    assert [link for link in links if not link.startswith(("/office/", "/static/")) and link != "/"] == []


def test_a_pattern_is_invalidated_there(office: Client, raw: redis.Redis) -> None:
    asked = office.post(f"{ALIAS}invalidate/confirm/", {"kind": "glob", "target": "a:*"})
    done = office.post(
        f"{ALIAS}invalidate/confirm/", {"kind": "glob", "target": "a:*", "token": asked.context["token"]}
    )
    assert done["Location"] == f"{HOME}operations/{Operation.objects.get().pk}/"
    assert office.get(done["Location"]).status_code == 200
    assert raw.dbsize() == 0


def test_a_card_without_session_leads_to_its_login(office: Client) -> None:
    office.logout()
    refused = office.get(f"{ALIAS}cards/memory/", headers={"HX-Request": "true", "HX-Current-URL": f"http://x{ALIAS}"})
    assert refused["HX-Redirect"].startswith("/office/login/")
    assert office.get(HOME)["Location"].startswith("/office/login/")

"""Refusals, and a database of the project that fails: a page in words, never an error of the site."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.conf import settings
from django.db import InterfaceError, connection
from django.test import Client

from cache_admin.adapters.redis import RedisAdapter
from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.panels import base as cards
from cache_admin.views.routes import ROUTES
from tests.views.conftest import SignIn, key_url, text, url
from tests.views.test_permissions import address

pytestmark = pytest.mark.usefixtures("raw")
HTMX = {"HX-Request": "true"}
PLACES = ("dashboard", "head", "overview")
ALIAS_PAGES = (
    *("dashboard", "patterns", "keys", "large_keys", "hit_rates", "invalidate", "health", "forecast", "leftovers"),
    "find_in",
)
SHARED = ("cache_changelist", "find", "deploys", "levels", "rules", "warmers", "meaning", "operations")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    yield
    sampler.forget()


class TestRefusals:
    def test_a_page_names_the_permission_that_is_missing(self, sign_in: SignIn) -> None:
        nobody = sign_in()
        response = nobody.get(url("dashboard", "default"))
        assert response.status_code == 403
        page = text(response)
        assert "You do not have the permission cache_admin.view_cache." in page
        assert "<title>" in page
        assert "hx-get" not in page, "nothing on it asks for what is refused"

    def test_a_fragment_is_the_sentence_alone(self, sign_in: SignIn) -> None:
        mia = sign_in("view_cache")
        response = mia.post(url("invalidate_preview", "default"), headers=HTMX)
        assert response.status_code == 403
        assert text(response).startswith('<p class="ca-error" role="alert">You do not have the permission')

    def test_a_refused_change_of_a_key_says_why(self, sign_in: SignIn) -> None:
        mia = sign_in("view_cache", "invalidate")
        response = mia.post(key_url(b"shop:1:lock:x", name="key_change"), {"verb": "delete"})
        assert response.status_code == 403
        assert "cache_admin.invalidate_protected" in text(response)

    def test_the_operation_of_somebody_else(self, sign_in: SignIn) -> None:
        operation = Operation.objects.create(kind="purge", alias="default", state="done", nonce="n", username="x")
        response = sign_in("view_cache").get(url("operation", operation.pk))
        assert response.status_code == 403
        assert "cache_admin.view_audit" in text(response)


class TestMissingTables:
    @pytest.fixture(autouse=True)
    def _no_tables(self, db: None) -> None:
        with connection.cursor() as cursor:
            for name in ("operation", "censusreport", "serversample"):
                cursor.execute(f"ALTER TABLE cache_admin_{name} RENAME TO {name}_of_later")

    @pytest.mark.parametrize("name", ["cache_changelist", "operations", "operations_export"])
    def test_a_page_says_to_migrate(self, client: Client, name: str) -> None:
        response = client.get(url(name))
        assert response.status_code == 503
        assert "manage.py migrate" in text(response)

    def test_an_operation_says_to_migrate(self, client: Client) -> None:
        assert "manage.py migrate" in text(client.get(url("operation", uuid4())))

    @pytest.mark.sqlite
    def test_nothing_is_scanned_or_changed(self, client: Client, raw) -> None:
        raw.set("shop:1:a", "x")
        assert "manage.py migrate" in text(client.post(url("census_start", "default")))
        assert "manage.py migrate" in text(client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete"}))
        assert raw.exists("shop:1:a")

    @pytest.mark.parametrize("name", ["dashboard", "keys", "invalidate"])
    def test_what_needs_no_table_still_works(self, client: Client, name: str) -> None:
        assert client.get(url(name, "default")).status_code == 200


TABLES = [model._meta.db_table for model in apps.get_app_config("cache_admin").get_models() if model._meta.managed]
LOOKS = [name for _route, view, name in ROUTES if hasattr(view, "get") and "operation_" not in name]


@pytest.mark.sqlite
@pytest.mark.parametrize("missing", [*TABLES, "all of them"])
def test_whichever_table_is_missing_each_page_and_card_says_what_to_do(
    client: Client, cache: Any, missing: str
) -> None:
    cache.set_many({f"product:{number}": number for number in range(20)})
    paths = [address(name) for name in LOOKS]
    paths += [url("card", "default", panel.slug) for place in PLACES for panel in cards.all_panels(place)]
    gone = TABLES if missing not in TABLES else [missing]
    with connection.cursor() as cursor:
        for name in gone:
            cursor.execute(f"ALTER TABLE {name} RENAME TO {name}_of_later")
    said = 0
    for path in paths:
        response = client.get(path)
        page = text(response) if "json" not in response.get("Content-Type", "") else ""
        assert response.status_code in (200, 302, 404, 503), path
        assert "This card failed" not in page, path
        assert response.status_code != 503 or "manage.py migrate" in page, path
        said += "manage.py migrate" in page
    assert said or len(gone) == 1, "of some alone there is a substitute, such as a sample"


def test_a_connection_that_the_database_closed_is_told_in_words(client: Client) -> None:
    def closed(execute: Any, sql: str, *args: Any) -> Any:
        if "cache_admin_operation" in sql:
            raise InterfaceError("connection already closed")
        return execute(sql, *args)

    with connection.execute_wrapper(closed):
        response = client.get(url("operations"))
    assert response.status_code == 503
    assert "The database does not answer" in text(response)


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
class TestLockedDatabase:
    @pytest.fixture(autouse=True)
    def _locked(self, client: Client) -> Iterator[None]:
        connection.ensure_connection()
        connection.cursor().execute("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        connection.close()

    def test_a_change_is_not_begun_and_says_why(self, client: Client, raw) -> None:
        raw.set("shop:1:a", "x")
        for response in (
            client.post(url("census_start", "default")),
            client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete"}),
        ):
            assert response.status_code == 503
            assert "is locked" in text(response)
        assert raw.exists("shop:1:a")

    def test_looking_still_works(self, client: Client, cache: Any) -> None:
        paths = [url(name, "default") for name in ALIAS_PAGES] + [url(name) for name in SHARED]
        paths += [url("card", "default", panel.slug) for place in PLACES for panel in cards.all_panels(place)]
        for path in paths:
            began = time.monotonic()
            response = client.get(path)
            assert response.status_code == 200, path
            assert "This card failed" not in text(response), path
            assert time.monotonic() - began < 3, path


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_the_record_of_a_change_is_committed_before_it_under_atomic_requests(
    client: Client, raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.set("shop:1:a", "x")
    delete, seen = RedisAdapter.delete, []

    def watched(adapter: RedisAdapter, names: list[bytes]) -> object:
        with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
            seen.append(other.execute("SELECT state FROM cache_admin_operation").fetchall())
        return delete(adapter, names)

    monkeypatch.setattr(RedisAdapter, "delete", watched)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    client.post(key_url(b"shop:1:a", name="key_change"), {"verb": "delete"})
    assert seen == [[("running",)]]
    assert settings.DATABASES.keys() == {"default"}

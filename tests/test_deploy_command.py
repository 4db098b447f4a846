"""``manage.py cache_deploy``."""

from __future__ import annotations

import io
import json

import pytest
import redis
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.db import connection
from embedded import running

from cache_admin.keyspace import reports
from cache_admin.models import CensusReport, Deploy, Operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]


@pytest.fixture(autouse=True)
def fresh_reports() -> None:
    reports.forget()


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("cache_deploy", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_marks_a_deploy_with_what_the_caches_hold() -> None:
    caches["default"].set_many({f"product:{i}": i for i in range(30)}, 60)
    out, err = run("2026.11.2")
    assert "Marked the deploy 2026.11.2." in out
    assert "default: 30 keys" in out
    assert err == ""
    deploy = Deploy.objects.get()
    assert deploy.username.startswith("terminal: ")
    assert set(deploy.contents) == {"default", "core", "json"}


def test_as_json() -> None:
    caches["default"].set("product:1", 1)
    told = json.loads(run("2026.11.2", "--json")[0])
    assert (told["label"], told["id"]) == ("2026.11.2", Deploy.objects.get().pk)
    held = told["contents"]["default"]
    assert (held["keys"], held["patterns"], held["version"], held["complete"]) == (1, 1, 1, True)


def test_full_scans_every_cache_that_can_be_listed_first(raw: redis.Redis) -> None:
    caches["core"].set("a", 1)
    run("2026.11.2", "--full")
    assert set(Operation.objects.values_list("kind", "state")) == {("census", "done")}
    assert set(CensusReport.objects.values_list("alias", flat=True)) == {"default", "core", "json"}


def test_a_server_that_is_away_costs_its_contents_only(settings) -> None:
    with running() as other:
        backend = "django.core.cache.backends.redis.RedisCache"
        settings.CACHES = {**settings.CACHES, "away": {"BACKEND": backend, "LOCATION": other.url}}
        other.kill()
        out, err = run("2026.11.2", "--full")
    assert "Marked" in out
    assert "away" in err
    assert "error" in Deploy.objects.get().contents["away"]


@pytest.mark.parametrize("label", ["", "   "])
def test_an_empty_label_is_wrong_usage(label: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(label)
    assert caught.value.returncode == 2
    assert not Deploy.objects.exists()


def test_a_database_without_the_table_is_a_failure_in_words() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {Deploy._meta.db_table} RENAME TO gone")
    with pytest.raises(CommandError, match="migrate") as caught:
        run("2026.11.2")
    assert caught.value.returncode == 1

"""What explains a bend: deploys, and restarts of the servers of an alias."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from cache_admin.adapters import adapter
from cache_admin.models import Deploy, ServerSample
from cache_admin.monitoring import marks
from cache_admin.monitoring.sampler import server_id
from cache_admin.monitoring.samples import slot_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]
NOW = 1_795_600_000.0


def met(run: str, *at: float) -> None:
    server = server_id(adapter("default").nodes()[0])
    for moment in at:
        ServerSample.objects.create(server=server, slot=slot_of(moment), at=moment, run_id=run, reading={})


def test_a_server_is_marked_when_another_process_of_it_is_first_met() -> None:
    met("a", NOW - 900, NOW - 800)
    met("b", NOW - 300, NOW - 200)
    met("c", NOW - 100)
    found = marks.marks(adapter("default"), NOW - 3_600, NOW)
    assert [(mark.at, mark.kind) for mark in found] == [(NOW - 300, "restart"), (NOW - 100, "restart")]
    assert marks.marks(adapter("locmem"), NOW - 3_600, NOW) == ()


def test_deploys_stand_between_restarts_in_the_order_of_time() -> None:
    met("a", NOW - 900)
    met("b", NOW - 300)
    Deploy.objects.bulk_create([Deploy(label=label, at=at) for label, at in (("v2", NOW - 600), ("old", NOW - 7_200))])
    found = marks.marks(adapter("default"), NOW - 3_600, NOW)
    assert [(mark.kind, mark.label) for mark in found] == [("deploy", "deploy v2"), ("restart", "server restarted")]


def test_a_database_without_tables_costs_only_the_marks(raw: Any) -> None:
    with connection.cursor() as cursor:
        for model in (Deploy, ServerSample):
            cursor.execute(f"ALTER TABLE {model._meta.db_table} RENAME TO {model._meta.db_table}_gone")
    assert marks.marks(adapter("default"), NOW - 3_600, NOW) == ()

from __future__ import annotations

import csv
import io
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cache_admin.models import Operation
from cache_admin.operations.base import kinds
from cache_admin.views import operations
from cache_admin.views.operations import KINDS
from tests.views.conftest import SignIn, text, url

State = Operation.State


def one(**values: object) -> Operation:
    defaults = {"kind": "purge", "alias": "default", "state": State.DONE, "summary": "Delete.", "username": "mia"}
    return Operation.objects.create(**{**defaults, "nonce": uuid4().hex, **values})


def interrupted(**values: object) -> Operation:
    params = {"targets": [{"meaning": "glob", "value": "product:*"}], "include_protected": False, "fast": True}
    return one(state=State.INTERRUPTED, params=params, total=10, scanned=4, planned_keys=10, **values)


def summaries(client: Client, **query: str) -> list[str]:
    return [row.summary for row in client.get(url("operations"), query).context["rows"]]


def test_every_kind_has_a_word(client: Client) -> None:
    assert {kind.name for kind in kinds} <= set(KINDS)
    one(kind="warm")
    assert '<option value="warm">Run of warmers</option>' in text(client.get(url("operations")))


def test_who_flushed_what_yesterday_is_one_click(client: Client) -> None:
    one(summary="old", created=timezone.now() - timedelta(days=1), username="max", reason="stale prices")
    one(summary="new")
    page = client.get(url("operations"))
    assert summaries(client) == ["new", "old"]
    listed = client.get(url("operations") + page.context["yesterday"])
    assert [row.summary for row in listed.context["rows"]] == ["old"]
    for fact in ("max", "stale prices"):
        assert fact in text(listed)


def test_the_list_is_narrowed_by_alias_kind_and_user(client: Client) -> None:
    one(summary="a", alias="core")
    one(summary="b", kind="edit")
    one(summary="c", username="max")
    assert summaries(client, alias="core") == ["a"]
    assert summaries(client, kind="edit") == ["b"]
    assert summaries(client, username="max") == ["c"]
    assert summaries(client, username="nobody") == []
    assert "No operation fits" in text(client.get(url("operations"), {"alias": "zzz"}))


def test_kinds_are_offered_in_words(client: Client) -> None:
    one(kind="census")
    assert '<option value="census">Scan</option>' in client.get(url("operations")).text


@pytest.mark.parametrize("date", ["2026-13-45", "abc", "0001-01-01", "9999-12-31", "\0"])
@pytest.mark.parametrize("page", ["-1", "1000000000", "abc"])
def test_senseless_filters_give_a_page(client: Client, date: str, page: str) -> None:
    one()
    query = {"date": date, "page": page, "alias": "\0", "username": "'\""}
    assert client.get(url("operations"), query).status_code == 200
    assert client.get(url("operations_export"), query).status_code == 200


def test_a_long_list_has_pages(client: Client) -> None:
    for i in range(60):
        one(summary=f"operation {i}")
    assert len(summaries(client)) == 50
    assert len(summaries(client, page="2")) == 10


def test_the_export_keeps_the_filter_and_runs_no_formula(client: Client) -> None:
    one(summary="a", reason="=1+1", alias="core")
    one(summary="b")
    response = client.get(url("operations_export"), {"alias": "core"})
    (row,) = csv.DictReader(io.StringIO(text(response)))
    assert (row["summary"], row["reason"]) == ("a", "'=1+1")


def test_an_export_that_is_cut_says_so_in_its_name(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "EXPORT_ROWS", 2)
    one()
    one()
    assert client.get(url("operations_export"))["Content-Disposition"] == 'attachment; filename="operations.csv"'
    one()
    response = client.get(url("operations_export"))
    assert response["Content-Disposition"] == 'attachment; filename="operations-newest-2.csv"'
    assert len(list(csv.DictReader(io.StringIO(text(response))))) == 2


def test_a_refresh_asks_for_the_rows_alone(client: Client) -> None:
    one()
    client.get(url("operations"))
    with CaptureQueriesContext(connection) as asked:
        assert "Delete." in text(client.get(url("operations"), headers={"HX-Request": "true"}))
    assert not [query for query in asked.captured_queries if "DISTINCT" in query["sql"] and "operation" in query["sql"]]


def test_an_interrupted_operation_is_resumed_to_the_end(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(10)})
    operation = interrupted(user=client.user)  # type: ignore[attr-defined]
    assert "Resume where it stopped" in text(client.get(url("operation", operation.pk)))
    part = client.post(url("operation_resume", operation.pk), headers={"HX-Request": "true"})
    assert "10 keys deleted" in text(part)
    assert "ca:operation-over" in part["HX-Trigger"]
    assert not raw.dbsize()
    again = client.post(url("operation_resume", operation.pk))
    assert "nothing to resume" in text(again)


def test_an_interrupted_operation_can_be_left(client: Client, raw: redis.Redis) -> None:
    operation = interrupted(user=client.user)  # type: ignore[attr-defined]
    assert client.post(url("operation_cancel", operation.pk)).url == url("operation", operation.pk)
    operation.refresh_from_db()
    assert operation.state == State.CANCELLED


def test_resuming_needs_the_permission_of_the_verb(sign_in: SignIn, raw: redis.Redis) -> None:
    operation = interrupted()
    reader = sign_in("view_cache", "view_audit")
    for verb in ("operation_resume", "operation_cancel"):
        assert reader.post(url(verb, operation.pk)).status_code == 403
    operation.refresh_from_db()
    assert operation.state == State.INTERRUPTED


def test_progress_takes_over_an_operation_whose_process_died(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:product:{i}": "x" for i in range(10)})
    operation = interrupted(user=client.user)  # type: ignore[attr-defined]
    Operation.objects.update(state=State.RUNNING, lease_until=timezone.now() - timedelta(minutes=1))
    page = text(client.get(url("operation", operation.pk)))
    assert url("operation_progress", operation.pk) in page
    assert raw.dbsize() == 10
    assert client.get(url("operation_progress", operation.pk)).status_code == 405
    part = client.post(url("operation_progress", operation.pk), headers={"HX-Request": "true"})
    assert "10 keys deleted" in text(part)
    assert "ca:tick" not in text(part)


def test_a_running_operation_shows_its_share_and_time_left(client: Client) -> None:
    running = one(state=State.RUNNING, total=100, scanned=50, created=timezone.now() - timedelta(seconds=10))
    Operation.objects.update(lease_until=timezone.now() + timedelta(minutes=1), lease_owner="other")
    page = text(client.get(url("operation", running.pk)))
    assert 'value="0.5"' in page
    assert "left" in page


@pytest.mark.parametrize("state", State.values)
def test_every_state_has_words(client: Client, state: str) -> None:
    for kind in ("purge", "expire", "edit", "census", "refused"):
        operation = one(state=state, kind=kind, error="<b>why</b>")
        page = text(client.get(url("operation", operation.pk)))
        assert "<b>why" not in page
        assert str(State(state).label) in page


def test_an_unknown_operation_is_not_found(client: Client) -> None:
    assert client.get(url("operation", uuid4())).status_code == 404

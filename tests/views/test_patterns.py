from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
import redis
from django.test import Client
from django.utils import timezone

from cache_admin import keys, patterns
from cache_admin.models import CensusReport, Growth, Operation
from tests.views.conftest import SignIn, text, url


@pytest.fixture
def filled(raw: redis.Redis) -> redis.Redis:
    for i in range(60):
        raw.set(f"shop:1:product:{i}", "x" * 400, ex=3000)
        raw.set(f"shop:1:user:{i}:profile", "x")
    raw.set("shop:1:=cmd|' /C calc'!A0", "x")
    raw.set("celery-task-meta-1", "x")
    return raw


def table(response: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(response))))


def test_the_largest_pattern_comes_first_with_its_figures(client: Client, filled: redis.Redis) -> None:
    page = text(client.get(url("patterns", "default")))
    assert page.index("product:") < page.index("user:")
    assert 'aria-sort="descending"' in page
    assert "Celery" in page


def test_filter_sort_and_page_stand_in_the_address(client: Client, filled: redis.Redis) -> None:
    found = client.get(url("patterns", "default"), {"q": "USER", "sort": "pattern", "page": "abc"})
    assert [row.pattern for row, _change in found.context["rows"]] == ["user:*:profile"]
    by_name = client.get(url("patterns", "default"), {"sort": "pattern"}).context["rows"]
    names = [row.pattern for row, _change in by_name]
    assert names == sorted(names)
    assert "No pattern has" in text(client.get(url("patterns", "default"), {"q": "zzz"}))


@pytest.mark.parametrize("page", ["-1", "1000000000", "abc", "", "0", "1e3"])
def test_any_page_number_gives_a_page(client: Client, filled: redis.Redis, page: str) -> None:
    assert client.get(url("patterns", "default"), {"page": page, "sort": "-nonsense"}).status_code == 200


def test_htmx_gets_the_table_alone(client: Client, filled: redis.Redis) -> None:
    part = text(client.get(url("patterns", "default"), headers={"HX-Request": "true"}))
    assert "<table" in part
    assert "<html" not in part


def test_a_row_opens_in_place_and_as_a_page(client: Client, filled: redis.Redis) -> None:
    path = url("pattern", "default", keys.token(patterns.fold(b"product:1")))
    part = text(client.get(path, headers={"HX-Request": "true"}))
    assert "product:" in part
    assert "<html" not in part
    assert "<html" in text(client.get(path))
    assert client.get(url("pattern", "default", "%%%")).status_code == 404
    assert "No key of this pattern" in text(client.get(url("pattern", "default", keys.token(b"gone"))))


def test_the_csv_holds_exact_figures_and_no_formula(client: Client, filled: redis.Redis) -> None:
    response = client.get(url("patterns_export", "default", "csv"))
    rows = table(response)
    assert 'filename="patterns-default-complete.csv"' in response["Content-Disposition"]
    assert next(row for row in rows if row["pattern"] == "product:*")["keys"] == "60"
    assert {"keys_low", "keys_high", "bytes_share_low", "no_expiry_share_high"} <= set(rows[0])
    assert not [row for row in rows if row["pattern"].startswith(("=", "+", "-", "@"))]
    assert [row for row in rows if row["pattern"].startswith("'=cmd")]


def test_both_exports_tell_the_same_under_the_same_names(client: Client, filled: redis.Redis) -> None:
    rows = table(client.get(url("patterns_export", "default", "csv")))
    patterns = client.get(url("patterns_export", "default", "json")).json()["patterns"]
    for row, one in zip(rows, patterns, strict=True):
        for name in ("keys", "bytes", "no_expiry", "largest_bytes"):
            assert row[name] == str(one[name]), name
        for name in ("keys_share", "bytes_share", "no_expiry_share", "mean_bytes"):
            assert float(row[name]) == one[name], name


def test_exports_keep_filter_and_order(client: Client, filled: redis.Redis) -> None:
    rows = table(client.get(url("patterns_export", "default", "csv"), {"q": "user"}))
    assert [row["pattern"] for row in rows] == ["user:*:profile"]
    report = json.loads(text(client.get(url("patterns_export", "default", "json"), {"sort": "keys", "q": "product"})))
    assert [one["pattern"] for one in report["patterns"]] == ["product:*"]
    assert client.get(url("patterns_export", "default", "csv").replace("csv", "xls")).status_code == 404


def test_exports_hold_what_a_pattern_gained_in_a_week(client: Client, filled: redis.Redis) -> None:
    columns = ("growth_days", "growth_keys", "growth_bytes", "growth_share", "growth_exact")
    row = next(
        row for row in table(client.get(url("patterns_export", "default", "csv"))) if row["pattern"] == "product:*"
    )
    assert [row[name] for name in columns] == [""] * 5
    week_ago = timezone.localdate(timezone=timezone.get_default_timezone()) - timedelta(days=7)
    then = {"product:*": [40, 1_000, 0.5]}
    Growth.objects.create(alias="default", day=week_ago, complete=True, contents=then)
    exported = {
        kind: client.get(url("patterns_export", "default", kind), {"sort": "-growth"}) for kind in ("csv", "json")
    }
    rows = {row["pattern"]: row for row in table(exported["csv"])}
    patterns = {one["pattern"]: one for one in exported["json"].json()["patterns"]}
    row, grown = rows["product:*"], patterns["product:*"]["growth"]
    assert (row["growth_days"], row["growth_keys"], row["growth_exact"]) == ("7", "20", "True")
    gained = patterns["product:*"]["bytes"] - 1_000
    assert (float(row["growth_bytes"]), float(row["growth_share"])) == (gained, pytest.approx(gained / 1_000))
    assert grown == {"days": 7, "keys": 20, "bytes": gained, "share": gained / 1_000, "exact": True}
    assert (rows["user:*:profile"]["growth_keys"], rows["user:*:profile"]["growth_share"]) == ("60", "")
    assert patterns["user:*:profile"]["growth"]["share"] is None
    assert next(iter(rows)) == "product:*"


def test_no_export_or_page_names_a_session(client: Client, raw: redis.Redis) -> None:
    secret = "abcdefghijklmnopqrstuvwxyz012345"
    name = f"django.contrib.sessions.cache{secret}"
    raw.mset({f"shop:1:{name}": "x", f"other:1:{name}": "x"})
    token = keys.token(f"shop:1:{name}".encode())
    paths = [url("patterns_export", "default", kind) for kind in ("csv", "json")]
    paths += [url(page, "default") for page in ("patterns", "large_keys", "keys")]
    paths += [url("keys", "default") + "?all=1", url("invalidate", "default") + "?target=*&protected=1"]
    paths.append(url("pattern", "default", keys.token(patterns.fold(name.encode()))))
    for path in paths:
        page = text(client.get(path))
        assert secret not in page
        assert token not in page


def test_scanning_everything_makes_the_figures_exact(client: Client, filled: redis.Redis) -> None:
    assert client.get(url("census_start", "default")).status_code == 405
    response = client.post(url("census_start", "default"), {"fast": "1"})
    operation = Operation.objects.get(kind="census")
    assert response.url == url("operation", operation.pk)
    assert operation.params == {"fast": True}
    assert CensusReport.objects.get().complete
    assert "Complete scan of" in text(client.get(url("patterns", "default")))
    part = client.post(url("census_start", "default"), headers={"HX-Request": "true"})
    assert "Looked at" in text(part)
    assert "ca:operation-over" in part["HX-Trigger"]


def test_a_scan_that_an_invalidation_made_old_says_so(client: Client, filled: redis.Redis) -> None:
    client.post(url("census_start", "default"))
    assert "were invalidated since" not in text(client.get(url("patterns", "default")))
    asked = client.post(url("invalidate_confirm", "default"), {"kind": "glob", "target": "product:*"})
    client.post(url("invalidate_confirm", "default"), {"token": asked.context["token"]})
    assert "were invalidated since" in text(client.get(url("patterns", "default")))
    assert "were invalidated since" not in text(client.get(url("patterns", "default"), {"sample": ""}))


@pytest.mark.parametrize("state", ["running", "done"])
def test_so_does_one_that_an_invalidation_ran_through(client: Client, filled: redis.Redis, state: str) -> None:
    client.post(url("census_start", "default"))
    ended = Operation.objects.get().finished
    values = {"kind": "purge", "alias": "default", "done_keys": 3, "created": ended - timedelta(minutes=5)}
    Operation.objects.create(**values, state="done", finished=ended - timedelta(minutes=4), nonce="before")
    assert "were invalidated since" not in text(client.get(url("patterns", "default")))
    over = ended + timedelta(minutes=1) if state == "done" else None
    Operation.objects.create(**values, state=state, finished=over, nonce="through")
    assert "were invalidated since" in text(client.get(url("patterns", "default")))


def test_an_empty_cache_says_what_comes_next(client: Client, raw: redis.Redis) -> None:
    assert "This cache is empty" in text(client.get(url("patterns", "default")))
    assert "This cache is empty" in text(client.get(url("large_keys", "default")))
    assert "This cache is empty" in text(client.get(url("keys", "default")))


def test_a_cache_that_cannot_list_leads_to_the_look_up(client: Client) -> None:
    for name in ("patterns", "large_keys"):
        page = text(client.get(url(name, "locmem")))
        assert url("keys", "locmem") in page


def test_large_keys_are_listed_by_size(client: Client, filled: redis.Redis) -> None:
    filled.set("shop:1:report", "x" * 100_000)
    page = text(client.get(url("large_keys", "default")))
    assert page.index("report") < page.index("product:")


def test_without_permission_to_invalidate_there_is_no_link_to_it(sign_in: SignIn, filled: redis.Redis) -> None:
    page = text(sign_in("view_cache").get(url("patterns", "default")))
    assert url("invalidate", "default") not in page

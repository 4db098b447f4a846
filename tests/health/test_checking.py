"""Finders that fail, findings that are muted, and what a glance may cost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import redis
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from embedded import Server

from cache_admin.adapters import adapter, servers
from cache_admin.health import checking, facts, muting
from cache_admin.health.facts import Facts
from cache_admin.health.finding import LONGEST_CODE, Finding, code, finders
from cache_admin.keyspace import census, reports
from cache_admin.models import MutedFinding, ServerSample
from cache_admin.monitoring import history, sampler, samples

from .conftest import MB

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]


def several(levels: list[str], kind: str = "made-up") -> Callable[[Facts], Iterator[Finding]]:
    def find(known: Facts) -> Iterator[Finding]:
        for number, level in enumerate(levels):
            yield Finding(code(kind, f"{level}-{number}"), level, f"{level} {number}")  # type: ignore[arg-type]

    return find


def broken(known: Facts) -> Iterator[Finding]:
    yield Finding("half", "warn", "said before it failed")
    raise ZeroDivisionError("secret detail")


def test_a_finder_that_fails_is_logged_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with finders.temporarily("broken", broken), finders.temporarily("fine", several(["bad"])):
        health = checking.check(adapter("locmem"))
    texts = [finding.text for finding in health.findings]
    assert texts[:2] == ["bad 0", "said before it failed"]
    assert "the finder broken failed; the log says why" in texts
    assert "secret" not in str(health)
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_the_verdict_in_one_sentence() -> None:
    def sentence(*levels: str) -> str:
        with finders.temporarily("made-up", several(list(levels))):
            return checking.check(adapter("locmem")).sentence

    assert sentence() == sentence("info") == "Healthy: nothing is wrong that can be seen from here."
    assert sentence("warn") == "One thing needs a look."
    assert sentence("bad", "warn", "warn") == "One thing is wrong, 2 need a look."
    assert sentence("bad", "bad", "warn") == "2 things are wrong, one needs a look."


def test_of_one_kind_only_the_largest_are_listed_and_muted_ones_make_room() -> None:
    with finders.temporarily("made-up", several(["warn"] * 8)):
        health = checking.check(adapter("locmem"))
        mine = [finding for finding in health.findings if finding.kind == "made-up"]
        assert (len(mine), health.more) == (5, 3)
        for finding in mine[:2]:
            muting.mute("locmem", finding, reason="known", username="mia")
        health = checking.check(adapter("locmem"))
    assert [finding.text for finding in health.findings if finding.kind == "made-up"] == [
        f"warn {i}" for i in range(2, 7)
    ]
    assert health.more == 1


def test_what_is_muted_changes_the_verdict_and_stays_muted() -> None:
    with finders.temporarily("made-up", several(["bad"])):
        (finding, *_) = checking.check(adapter("locmem")).findings
        row, created = muting.mute("locmem", finding, reason=" known since May ", username="mia")
        assert (created, row.reason) == (True, "known since May")
        again, created = muting.mute("locmem", finding, reason="other", username="max")
        assert (created, again.username) == (False, "mia")
        health = checking.check(adapter("locmem"))
        assert health.verdict.text == "healthy, but for one muted finding"
        assert [(one.row.username, one.finding) for one in health.muted] == [("mia", finding)]
        assert checking.check(adapter("dummy")).verdict.level == "bad", "of another alias"
    gone = checking.check(adapter("locmem"))
    assert gone.verdict.text == "healthy"
    assert [one.finding for one in gone.muted] == [None], "not found now, and still muted"
    with finders.temporarily("made-up", several(["bad"])):
        assert muting.unmute("locmem", finding.code).username == "mia"  # type: ignore[union-attr]
        assert muting.unmute("locmem", finding.code) is None
        assert checking.check(adapter("locmem")).verdict.level == "bad"


def test_muting_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        muting.mute("locmem", Finding("a", "bad", "a"), reason="  ", username="mia")
    assert not MutedFinding.objects.exists()


def test_long_patterns_have_codes_that_fit_and_differ() -> None:
    long = code("no-expiry", "x" * 400 + "a"), code("no-expiry", "x" * 400 + "b")
    assert [len(one) for one in long] == [LONGEST_CODE, LONGEST_CODE]
    assert long[0] != long[1]
    muting.mute("locmem", Finding(long[0], "bad", "y" * 900), reason="z" * 900, username="n" * 300)


def test_a_cache_without_a_server_is_judged_by_what_is_counted() -> None:
    health = checking.check(adapter("locmem"))
    assert [finding.code for finding in health.findings] == ["recording-off"]
    assert health.verdict.level == "good"


class TestGlance:
    def test_asks_no_server_beyond_the_reading(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        caches[alias].set("a", os.urandom(200_000), None)
        sampler.reading(alias)
        client = redis.Redis.from_url(server.url)
        client.config_resetstat()
        checking.glance(adapter(alias))
        facts.forget()
        checking.glance(adapter(alias))
        asked = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
        client.close()
        assert asked <= {"config|resetstat", "info", "hello", "client|setname", "client|setinfo", "select"}

    def test_costs_one_statement_more_than_the_card_it_stands_in(self) -> None:
        reading = sampler.reading("core")
        series = history.series(reading)
        checking.glance(adapter("core"), reading, series)
        with CaptureQueriesContext(connection) as queries:
            checking.glance(adapter("core"), reading, series)
        statements = [one["sql"] for one in queries if "SAVEPOINT" not in one["sql"]]
        assert len(statements) == 1
        assert "mutedfinding" in statements[0]

    def test_knows_the_last_complete_scan(self) -> None:
        caches["core"].set_many({f"user:{i}:profile": "x" * 200 for i in range(150)}, None)
        assert "no-expiry" not in {one.kind for one in checking.glance(adapter("core")).findings}
        report = census.sample(adapter("core"), 5_000)
        assert report.complete
        reports.save(report)
        facts.forget()
        assert "no-expiry" in {one.kind for one in checking.glance(adapter("core")).findings}


def test_a_server_that_is_away_is_one_finding(alias_on: Callable[..., tuple[str, Server]]) -> None:
    alias, server = alias_on()
    sampler.reading(alias)
    server.kill()
    servers.forget()
    health = checking.check(adapter(alias))
    assert health.findings[0].code == "silent", "it went after the reading"
    assert "refused connection" in health.verdict.text
    at = time.time() - 20
    ServerSample.objects.update(at=at, slot=int(at // samples.STEP))
    sampler.forget()
    began = time.monotonic()
    health = checking.check(adapter(alias))
    assert time.monotonic() - began < 3
    assert [one.code for one in health.findings] == ["silent", "recording-off"]
    assert "refused connection" in health.verdict.text
    assert health.notes == ()
    assert health.findings[0].evidence[0].startswith("last answer at")


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_database_that_is_locked_costs_nothing_but_history() -> None:
    caches["core"].set("a", "x" * MB)
    connection.ensure_connection()
    connection.cursor().execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        health = checking.check(adapter("core"))
        other.execute("ROLLBACK")
    connection.close()
    assert "no-limit" in {one.kind for one in health.findings}


def test_missing_tables_are_said() -> None:
    with connection.cursor() as cursor:
        for name in ("mutedfinding", "usage", "valuereport", "censusreport", "deploy"):
            cursor.execute(f"ALTER TABLE cache_admin_{name} RENAME TO {name}_of_later")
    health = checking.check(adapter("core"))
    assert "Which findings are muted is not known" in health.notes[-1]
    assert "no-limit" in {one.kind for one in health.findings}

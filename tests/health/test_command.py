"""``manage.py cache_health``: exit codes, limits, waiting, and what a pipeline reads."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.core.management import CommandError, call_command
from embedded import Server

from cache_admin.adapters import adapter
from cache_admin.health import checking, limits, muting
from cache_admin.health.limits import Limit, judge, parse
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import deploys
from cache_admin.monitoring.usage import OTHER, Counts, dump
from cache_admin.patterns import ID

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]
PRODUCT = b"product:" + ID


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and the message of a run without JSON."""
    out = io.StringIO()
    try:
        call_command("cache_health", *arguments, stdout=out, no_color=True)
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), ""


def count(hits: int, misses: int, *, ago: float = 300, template: bytes = PRODUCT, alias: str = "core") -> None:
    at = int(time.time() - ago)
    counts = dump({template: Counts(hits=hits, misses=misses)})
    Usage.objects.create(level=60, alias=alias, at=at - at % 60, counts=counts)


class TestExitCodes:
    def test_warnings_do_not_fail(self) -> None:
        code, out, _why = run("--alias", "core")
        assert code == 0
        assert out.startswith("core: no memory limit")
        assert "warn  no memory limit" in out
        assert "[no-limit]" in out
        assert "Set maxmemory and an evicting policy" in out

    def test_all_caches_without_an_alias(self, settings: Any) -> None:
        _code, out, _why = run()
        assert all(f"\n{alias}: " in f"\n{out}" for alias in settings.CACHES)

    def test_a_bad_finding_fails_until_it_is_muted(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, server = alias_on()
        client = redis.Redis.from_url(server.url)
        caches[alias].set_many({f"page:{i}": "x" * 10_000 for i in range(200)}, 600)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.02))
        client.close()
        code, out, why = run("--alias", alias)
        assert (code, why.startswith("own: noeviction at")) == (1, True)
        assert "bad   noeviction at" in out
        finding = next(one for one in checking.check(adapter(alias)).findings if one.code == "full")
        muting.mute(alias, finding, reason="tomorrow", username="mia")
        code, out, _why = run("--alias", alias)
        assert code == 0
        assert "muted noeviction at" in out
        assert "(mia: tomorrow)" in out

    def test_a_silent_server(self, settings: Any) -> None:
        entry = {"BACKEND": settings.CACHES["core"]["BACKEND"], "LOCATION": "unix:///nowhere/server.sock"}
        settings.CACHES = {"gone": entry}
        code, out, why = run()
        assert code == 5
        assert "refused connection" in out
        assert "refused connection" in why

    def test_a_cache_that_cannot_be_loaded(self, settings: Any) -> None:
        settings.CACHES = {**settings.CACHES, "odd": {"BACKEND": "nowhere.Cache"}}
        code, out, why = run()
        assert code == 1
        assert "its backend cannot be loaded" in why
        assert "core: " in out

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--alias", "nowhere"],
            ["--fail-under", "product"],
            ["--fail-under", "product:*=high"],
            ["--fail-under", "product:*=1.5"],
            ["--fail-under", "=0.5"],
            ["--wait", "4000"],
            ["--wait", "-1"],
            ["--wait", "nan"],
            ["--since-deploy"],
            ["--wait", "1"],
        ],
    )
    def test_wrong_usage(self, arguments: list[str]) -> None:
        assert run(*arguments)[0] == 2


class TestLimits:
    def test_a_hit_rate_under_its_limit(self) -> None:
        count(60, 40)
        code, out, why = run("--alias", "core", "--fail-under", "product:*=0.7")
        assert code == 3
        assert why == "Under the limit: product:*."
        assert "product:* of core: hit rate 60\u00a0% of 100 look-ups in the last hour; at least 70\u00a0%" in out
        assert run("--alias", "core", "--fail-under", "product:*=60%")[0] == 0

    def test_several_limits_of_several_caches(self) -> None:
        count(60, 40)
        count(90, 10, alias="locmem")
        count(10, 90, ago=240, template=b"menu:main", alias="locmem")
        code, out, _why = run("--fail-under", "product:*=0.5", "--fail-under", "menu:*=0.5")
        assert code == 3
        assert out.count("product:* of") == 2
        assert "menu:* of locmem: hit rate 10\u00a0%" in out

    def test_too_few_look_ups_are_said_and_do_not_fail(self) -> None:
        count(1, 20)
        code, out, _why = run("--alias", "core", "--fail-under", "product:*=0.7", "--fail-under", "other:*=0.7")
        assert code == 0
        assert "product:*: too few look-ups in the last hour to judge (21)" in out
        assert "other:*: too few look-ups in the last hour to judge (0)" in out
        assert run("--alias", "core", "--fail-under", "product:*=0.7", "--min-lookups", "20")[0] == 3

    def test_since_the_last_deploy(self) -> None:
        count(900, 100, ago=2_400)
        count(10, 90, ago=120)
        assert run("--alias", "core", "--fail-under", "product:*=0.7")[0] == 0
        deploys.mark("2.1", at=time.time() - 600)
        code, out, _why = run("--alias", "core", "--fail-under", "product:*=0.7", "--since-deploy")
        assert code == 3
        assert "hit rate 10\u00a0% of 100 look-ups since the deploy 2.1" in out

    def test_a_name_of_a_pattern_goes_before_a_glob(self) -> None:
        counts = {
            PRODUCT: Counts(hits=100),
            PRODUCT + b":reviews": Counts(misses=100),
            b"price:a*b": Counts(hits=50, misses=50),
            OTHER: Counts(misses=1_000),
        }
        one, whole, star = judge(
            [Limit("product:*", 0.9), Limit("pro*", 0.9), Limit("*", 0.9)], {"core": counts}, share=1.0
        )
        assert (one.state, one.lookups) == ("held", 100)
        assert (whole.state, whole.lookups) == ("under", 200)
        assert star.lookups == 300

    def test_of_a_share_less_was_seen(self) -> None:
        counts = {"core": {PRODUCT: Counts(misses=100)}}
        assert judge([Limit("product:*", 0.5)], counts, share=1.0)[0].state == "under"
        assert judge([Limit("product:*", 0.5)], counts, share=0.1)[0].state == "too few"

    @pytest.mark.parametrize(
        ("text", "limit"),
        [("product:*=0.7", Limit("product:*", 0.7)), ("a=b=1", Limit("a=b", 1.0)), ("a=70%", Limit("a", 0.7))],
    )
    def test_what_is_a_limit(self, text: str, limit: limits.Limit) -> None:
        assert parse(text) == limit


class TestWaiting:
    def test_it_waits_for_the_rest_of_the_time_and_counts_down(self) -> None:
        deploys.mark("2.1", at=time.time() - 2)
        screen = Terminal()
        began = time.monotonic()
        call_command("cache_health", "--alias", "locmem", "--wait", "3", stdout=io.StringIO(), stderr=screen)
        assert 0.5 < time.monotonic() - began < 3
        assert "Waiting for" in screen.getvalue()
        assert screen.getvalue().endswith("\r")

    def test_nothing_is_drawn_without_a_terminal(self) -> None:
        deploys.mark("2.1", at=time.time() - 1)
        screen = io.StringIO()
        call_command("cache_health", "--alias", "locmem", "--wait", "1.1", stdout=io.StringIO(), stderr=screen)
        assert screen.getvalue() == ""

    def test_a_deploy_that_is_long_over_is_not_waited_for(self) -> None:
        deploys.mark("2.1", at=time.time() - 1_000)
        began = time.monotonic()
        assert run("--alias", "locmem", "--wait", "60")[0] == 0
        assert time.monotonic() - began < 2

    def test_ctrl_c_ends_it(self) -> None:
        deploys.mark("2.1")
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        code, _out, why = run("--alias", "locmem", "--wait", "60")
        timer.join()
        assert (code, why) == (4, "Cancelled. Nothing was changed.")


def test_json_for_a_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    count(60, 40)
    deploys.mark("2.1", at=time.time() - 900)
    finding = next(one for one in checking.check(adapter("core")).findings if one.code == "recording-off")
    muting.mute("core", finding, reason="it is a test", username="mia")
    with pytest.raises(CommandError) as stopped:
        call_command("cache_health", "--alias", "core", "--fail-under", "product:*=0.7", "--since-deploy", "--json")
    told = json.loads(capsys.readouterr().out)
    assert stopped.value.returncode == told["code"] == 3
    assert told["ok"] is False
    assert told["deploy"]["label"] == "2.1"
    (core,) = told["caches"]
    assert (core["alias"], core["level"]) == ("core", "warn")
    assert core["findings"][0]["code"] == "no-limit"
    assert set(core["findings"][0]) == {"code", "level", "text", "evidence", "mend", "page"}
    (muted,) = core["muted"]
    assert (muted["code"], muted["found"], muted["username"], muted["reason"]) == (
        "recording-off",
        True,
        "mia",
        "it is a test",
    )
    (limit,) = told["limits"]
    assert (limit["state"], limit["hit_rate"], limit["lookups"], limit["alias"]) == ("under", 0.6, 100, "core")
    assert limit["since"] == pytest.approx(Deploy.objects.get().at, abs=1)

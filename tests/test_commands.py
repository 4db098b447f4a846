from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Iterator

import pytest
import redis
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection
from embedded import Server, running

from cache_admin.adapters import servers
from cache_admin.management import terminal
from cache_admin.models import CensusReport, Operation, Probes
from cache_admin.monitoring import sampler
from cache_admin.operations import census, driving, runner

pytestmark = pytest.mark.django_db
SESSION = "django.contrib.sessions.cache" + "x" * 32


@pytest.fixture
def shop(raw: redis.Redis) -> redis.Redis:
    keys = [f"product:{number}" for number in range(300)] + [f"product:{number}:reviews" for number in range(50)]
    raw.mset({f"shop:1:{key}": b"v" * 200 for key in [*keys, "user[1]", "user1", SESSION]})
    raw.set("shop:1:big", b"x" * 50_000, ex=1_000)
    raw.rpush("celery", b"task")
    return raw


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def told(*arguments: str) -> dict:
    return json.loads(run(*arguments, "--json"))


def code(*arguments: str) -> int:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    return caught.value.returncode


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: answer)


def test_a_dry_run_tells_and_changes_nothing(shop: redis.Redis) -> None:
    before = shop.dbsize()
    found = told("cache_purge", "product:*", "--dry-run")
    assert shop.dbsize() == before
    assert not Operation.objects.exists()
    assert found["alias"] == "default"
    assert found["pattern"] == "product:*"
    assert (found["matched"], found["deleted"], found["dry_run"], found["state"]) == (350, 0, True, "planned")
    assert found["bytes"] == sum(shop.memory_usage(key) for key in shop.keys("shop:1:product:*"))
    text = run("cache_purge", "product:*", "--dry-run")
    assert "Delete 350 keys" in text
    assert "product:*:reviews" in text


def test_a_purge_deletes_and_is_audited(shop: redis.Redis) -> None:
    done = told("cache_purge", "product:*:reviews", "--yes", "--reason", "wrong stars")
    assert (done["matched"], done["deleted"], done["state"], done["dry_run"]) == (50, 50, "done", False)
    operation = Operation.objects.get()
    assert str(operation.pk) == done["operation"]
    assert operation.username.startswith("terminal: ")
    assert (operation.reason, operation.done_bytes) == ("wrong stars", done["bytes"])
    assert len(shop.keys("shop:1:product:*")) == 300
    assert shop.llen("celery") == 1


def test_several_patterns_and_literals(shop: redis.Redis) -> None:
    done = told("cache_purge", "user[1]", "--literal", "--yes")
    assert (done["deleted"], shop.exists("shop:1:user1")) == (1, 1)
    done = told("cache_purge", "product:1*", "user?", "--yes")
    assert done["pattern"] is None
    assert done["patterns"] == ["product:1*", "user?"]
    assert done["deleted"] == done["matched"]
    assert not shop.exists("shop:1:user1")


def test_protected_keys_stay_unless_asked_for(shop: redis.Redis) -> None:
    done = told("cache_purge", "*", "--yes")
    assert (done["deleted"], done["protected"]) == (353, 1)
    assert shop.exists(f"shop:1:{SESSION}")
    assert told("cache_purge", "*", "--yes", "--include-protected")["deleted"] == 1
    assert shop.keys("*") == [b"celery"]


def test_protected_keys_are_the_reason_where_nothing_else_matches(shop: redis.Redis) -> None:
    text = run("cache_purge", SESSION, "--yes")
    assert "1 key of django.contrib.sessions.cache* stays." in text
    assert "the keys that match are protected" in text
    assert "Nothing matches" not in text


def test_expiring_over_a_time(shop: redis.Redis) -> None:
    done = told("cache_purge", "product:*", "--over", "60", "--yes")
    assert (done["expiring"], done["deleted"], done["over"]) == (350, 0, 60)
    assert 0 <= shop.ttl("shop:1:product:1:reviews") <= 61


def test_another_alias(raw: redis.Redis, server: Server) -> None:
    other = redis.Redis.from_url(server.url, db=1)
    other.set("core:1:a", b"v")
    assert told("cache_purge", "a", "--alias", "core", "--yes")["deleted"] == 1
    other.close()


def test_nothing_matched_is_no_error(shop: redis.Redis) -> None:
    done = told("cache_purge", "nothing:*", "--yes")
    assert (done["matched"], done["deleted"], done["state"], done["operation"]) == (0, 0, "nothing", None)
    assert "Nothing matches" in done["warnings"][0]
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cache_purge", "", "--yes"), terminal.USAGE),
        (("cache_purge", "a\\", "--yes"), terminal.USAGE),
        (("cache_purge", "a", "--alias", "nowhere", "--yes"), terminal.USAGE),
        (("cache_purge", "a", "--over", "0", "--yes"), terminal.USAGE),
        (("cache_purge", "a*", "--alias", "dummy", "--yes"), terminal.FAILED),
        (("cache_report", "--alias", "nowhere"), terminal.USAGE),
        (("cache_report", "--alias", "locmem"), terminal.FAILED),
        (("cache_report", "--alias", "locmem", "--full"), terminal.FAILED),
    ],
)
def test_trouble_has_an_exit_code(raw: redis.Redis, arguments: tuple[str, ...], expected: int) -> None:
    assert code(*arguments) == expected
    assert not Operation.objects.exists()


def test_it_asks_on_a_terminal(shop: redis.Redis, monkeypatch) -> None:
    before = shop.dbsize()
    answering(monkeypatch, "n")
    assert code("cache_purge", "product:*") == terminal.CANCELLED
    answering(monkeypatch, "y")
    assert code("cache_purge", "*") == terminal.CANCELLED, "the whole alias asks for its name"
    assert shop.dbsize() == before
    assert "Deleted 350 keys" in run("cache_purge", "product:*")
    answering(monkeypatch, "default")
    assert "Deleted 3 keys" in run("cache_purge", "*")


def test_without_a_terminal_it_refuses(shop: redis.Redis, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = shop.dbsize()
    assert code("cache_purge", "product:*") == terminal.USAGE
    assert shop.dbsize() == before


def test_ctrl_c_at_the_question_changes_nothing(shop: redis.Redis, monkeypatch) -> None:
    def interrupt(question: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", interrupt)
    assert code("cache_purge", "product:*") == terminal.CANCELLED
    assert not Operation.objects.exists()


@pytest.fixture
def ctrl_c(monkeypatch) -> Iterator[None]:
    """Presses it once in the middle of a purge. The suite may itself run where it is ignored."""
    save = driving.Driver._save

    def press(self: driving.Driver) -> None:
        if self.operation.done_keys >= 1_000:
            os.kill(os.getpid(), signal.SIGINT)
        save(self)

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(driving.Driver, "_save", press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_purge_cleanly(raw: redis.Redis, ctrl_c: None) -> None:
    raw.mset({f"shop:1:a:{number}": b"v" for number in range(5_000)})
    assert code("cache_purge", "a:*", "--yes") == terminal.CANCELLED
    operation = Operation.objects.get()
    assert (operation.state, operation.error) == ("cancelled", "Cancelled at the terminal.")
    assert operation.done_keys == 5_000 - raw.dbsize() < 5_000
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_purge_in_the_background_is_not_ended_by_ctrl_c(raw: redis.Redis, ctrl_c: None) -> None:
    raw.mset({f"shop:1:a:{number}": b"v" for number in range(5_000)})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run("cache_purge", "a:*", "--yes")
    assert raw.dbsize() == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.sqlite
def test_nothing_is_deleted_when_the_audit_cannot_be_written(shop: redis.Redis) -> None:
    before = shop.dbsize()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON cache_admin_operation BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    assert code("cache_purge", "product:*", "--yes") == terminal.FAILED
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse")
    assert shop.dbsize() == before


@pytest.mark.servers
def test_a_server_that_is_gone_has_its_exit_code(settings) -> None:
    with running() as own:
        settings.CACHES = {
            **settings.CACHES,
            "own": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": own.url},
        }
    assert code("cache_purge", "a*", "--alias", "own", "--yes") == terminal.UNAVAILABLE
    assert code("cache_report", "--alias", "own") == terminal.UNAVAILABLE
    assert code("cache_report", "--alias", "own", "--full") == terminal.INTERRUPTED


def test_a_progress_bar_is_drawn_on_a_terminal_and_wiped(shop: redis.Redis) -> None:
    screen = Terminal()
    bar = terminal.ProgressBar(OutputWrapper(screen))
    bar.show(50, 200, 12_345)
    assert "25%" in screen.getvalue()
    assert "12,345" in screen.getvalue()
    bar.clear()
    assert screen.getvalue().endswith(" \r")
    silent = io.StringIO()
    terminal.ProgressBar(OutputWrapper(silent)).show(1, 2, 0)
    assert silent.getvalue() == ""


def test_a_report_of_a_small_cache_is_complete(shop: redis.Redis) -> None:
    report = told("cache_report")
    assert report["alias"] == "default"
    assert report["complete"]
    assert report["scanned"] == report["total"] == shop.dbsize()
    by_pattern = {one["pattern"]: one for one in report["patterns"]}
    product = by_pattern["product:*"]
    assert (product["keys"], product["no_expiry"], product["exact"]) == (300, 300, True)
    assert product["bytes"] == sum(shop.memory_usage(f"shop:1:product:{number}") for number in range(300))
    assert by_pattern["big"]["no_expiry"] == 0
    assert report["large_keys"][0]["key"] == "shop:1:big"
    assert report["large_keys"][0]["bytes"] == shop.memory_usage("shop:1:big")
    assert [one["owner"] for one in report["foreign"]] == ["Celery"]
    assert "x" * 32 not in json.dumps(report), "session keys are masked"
    assert not Operation.objects.exists()


def test_a_sampled_report_has_intervals(raw: redis.Redis, settings) -> None:
    for start in range(0, 30_000, 1_000):
        raw.mset({f"shop:1:a:{number}": b"v" for number in range(start, start + 1_000)})
    settings.CACHE_ADMIN = {"RUNNER": "inline", "SAMPLE_MILLISECONDS": 10}
    report = told("cache_report")
    assert not report["complete"]
    pattern = report["patterns"][0]
    assert not pattern["exact"]
    assert pattern["keys_low"] <= 30_000 <= pattern["keys_high"]
    assert "≈" in run("cache_report")


@pytest.mark.parametrize("how", [("--full",), ("--full", "--fast"), ("--fast",)])
def test_a_full_report_is_stored_for_the_admin(shop: redis.Redis, how: tuple[str, ...]) -> None:
    report = told("cache_report", *how)
    assert report["complete"]
    assert report["scanned"] == shop.dbsize()
    assert CensusReport.objects.get().complete
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.params["fast"]) == ("census", "done", "--fast" in how)


def test_a_report_for_people(shop: redis.Redis) -> None:
    text = run("cache_report", "--full")
    assert "product:*:reviews" in text
    assert "Celery" in text
    assert "shop:1:big" in text


def test_a_reader_that_goes_away_gets_no_traceback(shop: redis.Redis, monkeypatch, tmp_path) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with (tmp_path / "stdout").open("w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        with pytest.raises(SystemExit):
            call_command("cache_report", stdout=Closed())


def test_an_unknown_alias_is_named_beside_the_known_ones(shop: redis.Redis) -> None:
    with pytest.raises(CommandError, match=r"no cache named defalt. There are: default"):
        run("cache_report", "--alias", "defalt")


def test_a_scan_that_runs_already_is_named(raw: redis.Redis) -> None:
    runner.begin(census.plan("default"), None, username="root")
    assert code("cache_report", "--full") == terminal.FAILED


@pytest.mark.parametrize("command", ["cache_purge", "cache_report"])
def test_the_help_documents_exit_codes_and_json(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    text = capsys.readouterr().out
    assert "Exit codes: 0 done" in text
    assert "With --json, one object" in text
    assert text.index("--alias") < text.index("--settings"), "its own options come first"


def test_a_look_at_values_is_told_to_scripts_and_people(raw: redis.Redis) -> None:
    raw.mset({f"shop:1:basket:{i}": b"\x80\x02cold_shop.models\nBasket\n)\x81." for i in range(30)})
    found = told("cache_report", "--values")
    assert (found["looked_at"], found["unreadable"], found["complete"]) == (20, 20, True)
    (pattern,) = found["patterns"]
    assert (pattern["pattern"], pattern["keys"], pattern["unreadable"]) == ("basket:*", 30, 20)
    (fault,) = pattern["faults"]
    assert (fault["code"], fault["detail"], fault["fatal"]) == ("module", "old_shop.models.Basket", True)
    assert fault["example"].startswith("shop:1:basket:")
    spoken = run("cache_report", "--values", "--fast")
    assert "20 of 20 values cannot be read" in spoken
    assert "basket:*  20/20  needs old_shop.models.Basket, and there is no such module" in spoken
    assert code("cache_report", "--values", "--alias", "locmem") == 1


def test_the_looks_of_a_command_are_written_down(shop: redis.Redis) -> None:
    servers.forget()
    sampler.forget()
    run("cache_report", "--fast")
    assert Probes.objects.get().hits > 100

"""``manage.py cache_sample``, from cron and beside the application."""

from __future__ import annotations

import io
import json
import signal
import time

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from embedded import running

from cache_admin.adapters import servers
from cache_admin.models import Lease, ServerSample
from cache_admin.monitoring import leases

from . import elsewhere


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("cache_sample", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.django_db
def test_once_reads_each_server_and_lets_others_go_on(raw: redis.Redis):
    raw.set("a", 1)
    told = json.loads(run("--json"))
    assert abs(told["at"] - time.time()) < 10
    (one,) = told["servers"]
    assert (one["state"], one["keys"], one["error"]) == ("sampled", 1, "")
    assert one["memory"] > 100_000
    assert ServerSample.objects.count() == 1
    assert Lease.objects.get(name__startswith="sample:").until == 0
    assert run("--once").endswith(": read\n")


@pytest.mark.django_db
def test_a_server_that_another_process_reads_is_left_to_it(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leases, "_owner", "another")
    server = json.loads(run("--json"))["servers"][0]["server"]
    Lease.objects.update(until=time.time() + 9)
    monkeypatch.setattr(leases, "_owner", "this one")
    assert json.loads(run("--json"))["servers"] == [{"server": server, "state": "left"}]
    assert "another process reads it" in run()
    assert Lease.objects.get(name__startswith="sample:").owner == "another"


@pytest.mark.django_db
def test_a_silent_server_has_an_exit_code_of_its_own(settings):
    with running() as gone:
        settings.CACHES = {"default": {**settings.CACHES["core"], "LOCATION": gone.url}}
    with pytest.raises(CommandError, match="refused connection") as caught:
        run()
    assert caught.value.returncode == 5
    with pytest.raises(CommandError):
        run("--json")
    servers.forget()


@pytest.mark.django_db
def test_no_server_at_all_is_said(settings):
    settings.CACHES = {"default": settings.CACHES["locmem"]}
    assert "No cache has a server" in run()


@pytest.mark.django_db
def test_a_missing_table_and_a_wrong_step_are_told(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CommandError, match="at least 5 seconds") as caught:
        run("--every", "1")
    assert caught.value.returncode == 2
    with pytest.raises(CommandError):
        run("--every", "nan")
    monkeypatch.setattr(Lease._meta, "db_table", "no_such_table")
    with pytest.raises(CommandError, match="migrate") as caught:
        run()
    assert caught.value.returncode == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_sidecar_goes_on_until_it_is_stopped(raw: redis.Redis):
    process = elsewhere.start("command", connection.settings_dict["NAME"], settings.SOCKET, "--every", "5", "--json")
    try:
        assert elsewhere.lines(process) == ["ready"]
        elsewhere.go(process)
        first, second = (json.loads(line) for line in elsewhere.lines(process, 2))
        assert 4.5 < second["at"] - first["at"] < 8
        assert ServerSample.objects.filter(slot__gt=0).count() == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert Lease.objects.get(name__startswith="sample:").until == 0
    finally:
        elsewhere.end(process)

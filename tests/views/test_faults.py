"""What every page says while its server is in trouble: at once, in words, without secrets, and of that cache alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db.models import F
from django.test import Client, override_settings

from cache_admin.adapters import adapter, servers
from cache_admin.keyspace import reports
from cache_admin.models import Lease, Operation, ServerSample
from cache_admin.monitoring import sampler
from cache_admin.panels import base as cards
from tests.adapters.conftest import PASSWORD
from tests.views import faults
from tests.views.conftest import key_url, text, url
from tests.views.faults import KEYS, Fault

pytestmark = pytest.mark.servers
LIMIT = 3.0  #: seconds for any page
#: Pages that ask the server at once, with what they need to do so.
ASKING = {
    "patterns": {}, "large_keys": {}, "keys": {"q": "product"}, "find_in": {"q": "product:1"}, "forecast": {},
    "leftovers": {}, "health": {}, "invalidate": {"target": "product:*"},
}  # fmt: skip
#: Those that open without it.
OPENING = ("dashboard", "hit_rates", "invalidate")
SHARED = ("cache_changelist", "operations", "deploys", "levels", "rules", "warmers", "meaning")
#: Cards that stand on what the servers count.
COUNTING = ("server", "memory", "hit_rate", "operations_per_second", "evictions", "headline", "summary")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    sampler.forget()
    cards._snapshots.clear()
    yield
    sampler.forget()


@contextmanager
def default_at(location: str, **options: Any) -> Iterator[None]:
    """The alias ``default`` on that server, for the length of a block."""
    known = {**settings.CACHES}
    known["default"] = {**known["default"], "LOCATION": f"{location}?db=0", **options}
    given = {**settings.CACHE_ADMIN, "SERVER_TIMEOUT": 0.5}
    with override_settings(CACHES=known, CACHE_ADMIN=given):
        reports.forget()
        yield
    servers.forget()


def words(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))


def get(client: Client, path: str, data: dict[str, str] | None = None) -> str:
    """A page, checked for what no page may lack or hold."""
    began = time.monotonic()
    response = client.get(path, data or {})
    assert time.monotonic() - began < LIMIT, path
    assert response.status_code == 200, path
    page = text(response)
    assert PASSWORD not in page, path
    assert "Traceback" not in page, path
    assert "This card failed" not in page, path
    return words(page)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.hung, r"not answering since \d\d:\d\d:\d\d"),
        (faults.killed, r"refused connection at \d\d:\d\d:\d\d"),
        (faults.paused, r"not answering since"),
        (faults.loading, r"the server is loading its dataset|loading dataset, \d+ %"),
        (faults.without_primary, r"lost its primary"),
        (faults.busy, r"busy with a script"),
        (faults.without_password, r"credentials rejected"),
        (faults.wrong_password, r"credentials rejected"),
        (faults.crowded, r"maxclients"),
        (faults.swallowed, r"not answering since"),
        (faults.unknown_host, r"host not found"),
        (faults.no_tls, r"no TLS handshake since"),
    ],
)
def test_each_page_says_what_is_wrong(
    client: Client, raw: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault, said: str
) -> None:
    with fault(tmp_path) as location, default_at(location):
        for name, data in ASKING.items():
            assert re.search(said, get(client, url(name, "default"), data)), name
        for path in (key_url(b"shop:1:product:1"), url("keys", "default") + "?exact=product:1"):
            page = get(client, path)
            assert re.search(said, page), path
            assert "This key is gone" not in page
            assert "Not in default" not in page
        for name in OPENING:
            get(client, url(name, "default"))
        for name in SHARED:
            get(client, url(name))
        for place in ("dashboard", "head", "overview"):
            for panel in cards.all_panels(place):
                card = get(client, url("card", "default", panel.slug))
                if fault not in (faults.loading, faults.without_primary) and panel.slug in COUNTING:
                    assert re.search(said, card), panel.slug
        assert re.search(said, get(client, url("card", "default", "headline")))
        for path in (url("keys", "core"), url("patterns", "core"), url("card", "core", "memory")):
            assert not re.search(said, get(client, path)), path
        for name, data in (("invalidate_confirm", {"target": "product:*"}), ("census_start", {})):
            assert re.search(said, words(text(client.post(url(name, "default"), data, follow=True)))), name
    assert set(Operation.objects.values_list("state", "done_keys")) <= {("interrupted", 0)}
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.replica, "connected to a replica; nothing was changed"),
        (faults.cannot_save, "refuses writes (snapshot failing); nothing was changed"),
        (faults.too_few_replicas, "refuses writes (too few replicas); nothing was changed"),
    ],
)
@pytest.mark.parametrize("when", ["now", "spread"])
def test_a_refused_change_deletes_nothing_and_says_so(
    client: Client, raw: redis.Redis, tmp_path: Path, fault: Fault, said: str, when: str
) -> None:
    with fault(tmp_path) as location, default_at(location):
        asked = {"target": "product:*", "when": when, "seconds": "600"}
        token = client.post(url("invalidate_confirm", "default"), asked).context["token"]
        done = client.post(url("invalidate_confirm", "default"), {"token": token}, follow=True)
        assert said in words(text(done))
        change = key_url(b"shop:1:product:1", name="key_change")
        assert said in words(text(client.post(change, {"verb": "delete"}, follow=True)))
        assert adapter("default").count() == KEYS
    assert set(Operation.objects.values_list("state", "done_keys")) == {("failed", 0)}


def test_a_connection_that_is_killed_is_replaced_unseen(client: Client, raw: redis.Redis) -> None:
    with faults.filled() as (server, other), default_at(server.url):
        for _round in range(3):
            assert f"looked at {KEYS} of {KEYS} keys" in get(client, url("keys", "default"))
            other.client_kill_filter(_type="normal", skipme=True)
        assert "Redis through django-redis" in get(client, url("dashboard", "default"))


def test_without_scan_an_exact_key_is_still_found_and_deleted(client: Client, raw: redis.Redis) -> None:
    with faults.filled('rename-command SCAN ""') as (server, other), default_at(server.url):
        for name in ("patterns", "keys", "large_keys"):
            assert "listing not available, the server has no SCAN" in get(client, url(name, "default"))
        assert "Present in default" in get(client, url("keys", "default"), {"exact": "product:1"})
        client.post(key_url(b"shop:1:product:1", name="key_change"), {"verb": "delete"})
        assert other.dbsize() == KEYS - 1


def test_without_unlink_the_record_tells_of_large_collections_that_stay(client: Client, raw: redis.Redis) -> None:
    with faults.filled('rename-command UNLINK ""') as (server, other), default_at(server.url):
        other.sadd("shop:1:product:all", *range(20_000))
        token = client.post(url("invalidate_confirm", "default"), {"target": "product:*"}).context["token"]
        page = words(text(client.post(url("invalidate_confirm", "default"), {"token": token}, follow=True)))
        assert f"{KEYS} keys deleted" in page
        assert "1 large collections were left" in page
        assert other.keys() == [b"shop:1:product:all"]


def test_counters_that_begin_again_leave_a_gap_and_no_wrong_rate(client: Client, raw: redis.Redis) -> None:
    """Two readings before CONFIG RESETSTAT, two after, and two of the server that was started again."""
    with faults.filled() as (server, other), default_at(server.url):
        for lookups, happens in ((50, ""), (80, ""), (5, "reset"), (40, ""), (3, "restart"), (30, "")):
            if happens == "reset":
                other.config_resetstat()
            elif happens:
                server.kill()
                server.start()
                other.mset({f"shop:1:product:{number}": b"v" for number in range(KEYS)})
            for number in range(lookups):
                other.get(f"shop:1:product:{number + KEYS // 2 * (number % 5 == 0)}")
            sampler.forget()
            servers.forget()
            pages = {slug: text(client.get(url("card", "default", slug))) for slug in COUNTING[2:5]}
            ServerSample.objects.filter(slot__gt=0).update(at=F("at") - 20, slot=F("slot") - 4)
            Lease.objects.all().delete()
        for slug, page in pages.items():
            data = json.loads(re.search(rf'id="ca-data-{slug}"[^>]*>(.*?)</script>', page)[1])  # type: ignore[index]
            known = [value for line in data["series"] for value in line["values"] if value is not None]
            assert known, slug
            assert min(known) >= 0, slug
            assert slug != "hit_rate" or max(known) <= 100
            assert [mark["label"].partition(" ")[2] for mark in data["marks"]] == ["server restarted"]
            assert "server restarted" in page.partition("</script>")[2], "the table has it too"

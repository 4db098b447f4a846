"""Findings from what fills a cache, of keys that a real server holds."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from embedded import Server

from cache_admin.adapters import adapter
from cache_admin.health import checking, looking
from cache_admin.health.counted import Counted
from cache_admin.health.facts import Facts
from cache_admin.keyspace import leftovers, reports
from cache_admin.keyspace import unreadable as looks
from cache_admin.keyspace.unreadable import PatternValues, Trouble, ValuesReport
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring.history import Recent
from cache_admin.monitoring.usage import OTHER, Counts, dump
from cache_admin.operations import deploying, runner, values
from cache_admin.patterns import ID, WORD
from tests.monitoring.conftest import info

from .conftest import EMPTY, MB, found, of_keys, one

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]

EVICTING = replace(EMPTY, recent=Recent(seconds=300, evictions=3.0))


def said(policy: str, megabytes: int = 10) -> Any:
    return info(memory=megabytes * MB, memory_limit=100 * MB, policy=policy)


class TestNoExpiry:
    @pytest.fixture(autouse=True)
    def _keys(self, raw: redis.Redis) -> None:
        caches["core"].set_many({f"user:{i}:profile": "x" * 200 for i in range(150)}, None)
        caches["core"].set_many({f"page:{i}": "x" * 200 for i in range(50)}, 600)

    @pytest.mark.parametrize(
        ("policy", "megabytes", "level", "words"),
        [
            ("volatile-lru", 10, "warn", "never expire, and volatile-lru cannot evict them"),
            ("volatile-lru", 90, "bad", "never expire, and volatile-lru cannot evict them"),
            ("allkeys-lru", 10, "info", "never expire; only eviction removes them"),
            ("noeviction", 10, "warn", "never expire, and nothing evicts them"),
        ],
    )
    def test_how_bad_it_is_depends_on_the_policy(self, policy: str, megabytes: int, level: str, words: str) -> None:
        told = one("no-expiry", of_keys("core", said(policy, megabytes)))
        assert (told.level, told.code) == (level, "no-expiry:user:*:profile")
        assert told.text == f"150 keys of user:*:profile {words}"
        assert told.evidence[1] == "all 200 keys looked at"
        assert told.link == "leftovers"

    def test_few_keys_or_little_memory_are_no_finding(self, raw: redis.Redis) -> None:
        caches["core"].delete_many([f"user:{i}:profile" for i in range(60)])
        assert found("no-expiry", of_keys("core")) == []

    def test_the_code_stays_when_the_figures_change(self) -> None:
        before = one("no-expiry", of_keys("core"))
        caches["core"].set("user:1000:profile", "x", None)
        after = one("no-expiry", of_keys("core"))
        assert before.code == after.code
        assert before.text != after.text

    def test_a_policy_of_a_real_server(self, alias_on: Callable[..., tuple[str, Server]]) -> None:
        alias, _server = alias_on("maxmemory 50mb", "maxmemory-policy volatile-ttl")
        caches[alias].set_many({f"user:{i}:profile": "x" * 200 for i in range(150)}, None)
        codes = {finding.code: finding for finding in checking.check(adapter(alias)).findings}
        assert "volatile-ttl cannot evict them" in codes["no-expiry:user:*:profile"].text


SESSION = "django.contrib.sessions.{}abcdefghijklmnopqrstuvwxyz0123{:02}"


@pytest.mark.parametrize(
    ("engine", "policy", "history", "level"),
    [
        ("cache", "allkeys-lru", EMPTY, "warn"),
        ("cache", "volatile-lru", EVICTING, "bad"),
        ("cache", "noeviction", EMPTY, None),
        ("cached_db", "allkeys-lru", EVICTING, None),
    ],
)
def test_sessions_beside_other_keys(engine: str, policy: str, history: Any, level: str | None) -> None:
    caches["core"].set_many({SESSION.format(engine, i): {} for i in range(3)}, 600)
    assert found("sessions", of_keys("core", said(policy), history)) == [], "alone they fill nothing"
    caches["core"].set("page:1", 1, 600)
    told = found("sessions", of_keys("core", said(policy), history))
    assert [finding.level for finding in told] == ([level] if level else [])


def test_a_shared_fragment_with_a_personal_name_is_asked_about() -> None:
    for name in ("user.menu", "footer"):
        caches["core"].set(make_template_fragment_key(name), "x", 600)
        caches["core"].set(make_template_fragment_key(name, ["vary"]), "x", 600)
    told = one("shared-user-data", of_keys("core"))
    assert "user.menu" in told.text
    assert "may hold" in told.text
    assert told.level == "info"
    assert "its fragment varies on nothing" in told.evidence[0]


def test_a_fragment_that_varies_is_not_asked_about() -> None:
    caches["core"].set(make_template_fragment_key("user.menu", ["7"]), "x", 600)
    caches["core"].set_many({f"user:{i}:profile": 1 for i in range(3)}, 600)
    assert found("shared-user-data", of_keys("core")) == []


def test_large_values_are_tried(raw: redis.Redis) -> None:
    caches["core"].set("report:1", "much the same " * 20_000, 600)
    caches["core"].set("image:1", os.urandom(200_000), 600)
    caches["default"].set("report:1", os.urandom(200_000), 600)
    told = {finding.code: finding for finding in checking.check(adapter("core")).findings}
    assert "large and not compressed" in told["large-values:report:*"].text
    assert "times smaller with zlib" in told["large-values:report:*"].evidence[0]
    assert "large-values:image:*" not in told
    assert looking.look(adapter("default")).tried == (), "it has a compressor"


def test_a_cliff_ahead() -> None:
    caches["core"].set_many({f"catalog:{i}": 1 for i in range(1_200)}, 1_500)
    told = one("cliff", of_keys("core"))
    assert told.code == "cliff:catalog:*"
    assert "keys of catalog:* expire" in told.text
    assert told.link == "forecast"


class TestStrays:
    def test_a_version_of_before(self, settings: Any) -> None:
        caches["core"].set_many({f"old:{i}": "x" * 100 for i in range(120)}, 600)
        settings.CACHES = {**settings.CACHES, "core": {**settings.CACHES["core"], "VERSION": 2}}
        caches["core"].set("new:1", 1, 600)
        told = one("old-version", of_keys("core"))
        assert (told.code, told.level) == ("old-version:core:1", "warn")
        assert told.text.startswith("120 keys are left of version 1")

    def test_keys_of_nobody(self, raw: redis.Redis) -> None:
        raw.select(1)
        client = redis.Redis(connection_pool=raw.connection_pool)
        with client.pipeline(transaction=False) as pipe:
            pipe.execute_command("SELECT", 1)
            for i in range(150):
                pipe.set(f"elsewhere:{i}", "x" * 100)
            pipe.execute_command("SELECT", 0)
            pipe.execute()
        caches["core"].set("mine:1", 1, 600)
        told = one("no-owner", of_keys("core"))
        assert (told.code, told.level) == ("no-owner", "warn")
        assert "belong to no cache and no program" in told.text

    def test_own_keys_that_nobody_asks_for(self) -> None:
        caches["core"].set_many({f"before:{i}": "x" * 100 for i in range(50)}, 600)
        caches["core"].set_many({f"asked:{i}": "x" * 100 for i in range(50)}, 600)
        facts = of_keys("core")
        counts = Counted({b"asked:" + ID: Counts(hits=1)}, {}, hours_before=24.0)
        told = one("no-owner", replace(facts, stored=replace(facts.stored, counts=counts)))
        assert told.text == "nobody asks for before:*, and nothing known writes it"
        assert (told.level, told.link) == ("info", "invalidate")
        for template in (b"before:" + WORD, OTHER):  # as part of a wider one; or perhaps beyond the most told apart
            partly = replace(counts, before={template: Counts(hits=1)})
            assert found("no-owner", replace(facts, stored=replace(facts.stored, counts=partly))) == []
        short = replace(counts, hours_before=10.0)
        assert found("no-owner", replace(facts, stored=replace(facts.stored, counts=short))) == []


class Gone:
    pass


class TestUnreadable:
    def test_values_whose_class_is_gone(self, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        Gone.__qualname__ = Gone.__name__ = "Gone"
        caches["core"].set_many({f"cart:{i}": Gone() for i in range(10)}, 600)
        monkeypatch.delattr(f"{__name__}.Gone")
        runner.start(values.plan("core"), _user())
        codes = {finding.code: finding for finding in checking.glance(adapter("core")).findings}
        told = codes["unreadable:cart:*"]
        assert told.level == "bad"
        assert told.evidence[0] == "10 of the 10 values looked at"
        assert "Gone" in told.evidence[1]

    def test_a_value_that_would_run_a_command(self, raw: redis.Redis) -> None:
        class Runs:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.system, ("true",)

        caches["core"].set("job:1", Runs(), 600)
        assert pickle.dumps(Runs())
        runner.start(values.plan("core"), _user())
        told = checking.check(adapter("core")).findings[0]
        assert (told.code, told.level) == ("armed:job:*", "bad")

    @pytest.mark.parametrize(
        ("unreadable", "looked_at", "age", "level"),
        [(20, 20, 60, "bad"), (3, 20, 60, "warn"), (2, 20, 60, None), (3, 100, 60, None), (20, 20, 8 * 86_400, None)],
    )
    def test_thresholds(self, unreadable: int, looked_at: int, age: float, level: str | None) -> None:
        trouble = Trouble("name", "shop.Gone", True, unreadable, b"own:1:a:1")
        pattern = PatternValues("a:*", b"a:" + ID, 100, looked_at, unreadable, (trouble,))
        now = time.time()
        report = ValuesReport(
            "core", now - age, 1.0, True, 100, 100, looked_at, 0, "pickle", "", "5.2", "3.11", (pattern,)
        )
        looks.save(report)
        facts = of_keys("core", now=now)
        facts = replace(facts, stored=replace(facts.stored, look=looks.latest("core")))
        assert [finding.level for finding in found("unreadable", facts)] == ([level] if level else [])


def test_what_a_deploy_did_is_told() -> None:
    caches["core"].set_many({f"product:{i}": "x" * 100 for i in range(60)}, 600)
    deploying.mark("2.1")
    caches["core"].delete_many([f"product:{i}" for i in range(60)])
    caches["core"].set_many({f"goods:{i}": "x" * 100 for i in range(60)}, None)
    reports.forget()
    told = {finding.code: finding for finding in checking.check(adapter("core")).findings}
    assert told["deploy:new_endless:goods:*"].text == "goods:*: new and never expires, since the deploy 2.1"
    assert told["deploy:vanished:product:*"].level == "warn"
    assert "deploy:vanished:product:*" not in {one.code for one in checking.glance(adapter("core")).findings}


def test_what_a_deploy_did_to_what_is_asked_is_known_at_a_glance(settings: Any) -> None:
    settings.CACHE_ADMIN = {**settings.CACHE_ADMIN, "RECORDING": True}
    now = time.time()
    Deploy.objects.create(label="2.1", at=now - 1_800)
    stretches = ((now - 2_700, Counts(hits=90, misses=10)), (now - 900, Counts(hits=20, misses=180)))
    for at, counts in stretches:
        Usage.objects.create(level=60, alias="core", at=int(at // 60) * 60, counts=dump({b"product:" + ID: counts}))
    (told,) = [finding for finding in checking.glance(adapter("core")).findings if finding.kind == "deploy"]
    assert (told.code, told.level) == ("deploy:hit_rate:product:*", "bad")
    assert told.text == "product:*: hit rate \u221280 points, since the deploy 2.1"
    assert told.code in {one.code for one in checking.check(adapter("core")).findings}


def test_a_sample_marks_its_figures() -> None:
    caches["core"].set_many({f"user:{i}:profile": "x" * 200 for i in range(6_000)}, None)
    cache = adapter("core")
    facts: Facts = of_keys("core")
    assert facts.stored.report is not None
    seen = facts.stored.report.patterns[0]
    stats = replace(seen, keys=replace(seen.keys, exact=False), size=replace(seen.size, exact=False))
    report = replace(facts.stored.report, complete=False, patterns=(stats,))
    known = replace(facts.stored, report=report, leftovers=leftovers.of(report, cache.codec))
    told = one("no-expiry", replace(facts, stored=known))
    assert told.text.startswith("≈\u202f6,000 keys")
    assert told.evidence[0].startswith("≈")
    assert told.evidence[1].startswith("sampled 6,000 of")


def _user() -> Any:
    return User.objects.create_superuser("root")

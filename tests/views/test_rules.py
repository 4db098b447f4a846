from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from django.core.cache import caches
from django.test import Client

from cache_admin.caching.invalidation import Changes, cache_invalidator
from cache_admin.caching.rules import all_figures
from cache_admin.models import Tally
from cache_admin.monitoring import tallies
from tests.shop_models.models import Product
from tests.views.conftest import SignIn, text, url


def broken(changes: Changes) -> None:
    raise RuntimeError("the list is away")


@pytest.fixture
def rules(raw: redis.Redis) -> Iterator[None]:
    register = cache_invalidator.register_invalidation_rule
    made = [
        register(Product, tags=["product:{pk}"], patterns=["list:*"], urls=["/products/{pk}/"], name="lists"),
        register(Product, broken),
    ]
    yield
    for rule in made:
        cache_invalidator.unregister(rule)


def row(client: Client, name: str) -> str:
    """The table row of a rule."""
    return next(part for part in text(client.get(url("rules"))).split("<tr>") if name in part)


@pytest.mark.django_db(transaction=True)
def test_each_rule_tells_what_it_makes_stale_and_did(client: Client, rules: None) -> None:
    caches["default"].set_many({"list:1": 1, "list:2": 1})
    before = row(client, "lists")
    assert "never" in before
    for written in ("shop_models.Product", "product:{pk}", "list:*", "/products/{pk}/", "default"):
        assert written in before, written
    Product.objects.create(name="Tea")
    after = row(client, "lists")
    assert "never" not in after
    assert '<td class="ca-num ca-minor">1</td>' in after
    assert "fired once" in after
    assert '<td class="ca-num ca-minor">3</td>' in after


@pytest.mark.django_db(transaction=True)
def test_a_rule_that_fails_says_so(client: Client, rules: None) -> None:
    Product.objects.create(name="Tea")
    shown = row(client, "test_rules.broken")
    assert "failed once: RuntimeError: the list is away" in shown
    assert "Traceback" not in shown


@pytest.mark.django_db(transaction=True)
def test_what_other_processes_did_is_in_the_figures(
    client: Client, rules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "_sources", {"rules": all_figures})
    theirs = {"fired": 4, "dropped": 40, "seconds": 0.4, "failed": 1, "last_at": 9e9, "last_error": "KeyError: theirs"}
    Tally.objects.create(name="rules", since=1.7e9, figures={"lists": theirs, "of a release before": theirs})
    Product.objects.create(name="Tea")
    shown = row(client, "lists")
    assert '<td class="ca-num ca-minor">5</td>' in shown
    assert "failed once: KeyError: theirs" in shown
    page = text(client.get(url("rules")))
    assert "of all processes of this site since 11/14/2023" in page
    assert "of a release before" not in page


def test_figures_are_said_to_be_of_this_worker_where_nothing_is_written_down(client: Client, rules: None) -> None:
    assert "this worker process alone" in text(client.get(url("rules")))


def test_the_tab_is_there_only_with_rules(client: Client, raw: redis.Redis) -> None:
    known = bool(cache_invalidator.rules())
    assert (url("rules") in text(client.get(url("keys", "default")))) is known
    rule = cache_invalidator.register_invalidation_rule(Product, keys=["a"], name="tab")
    try:
        assert f'href="{url("rules")}?alias=default"' in text(client.get(url("keys", "default")))
        assert url("rules") in text(client.get(url("cache_changelist")))
    finally:
        cache_invalidator.unregister(rule)


def test_one_cache_has_its_own_rules(client: Client, rules: None) -> None:
    rule = cache_invalidator.register_invalidation_rule(Product, keys=["a"], alias="core", name="of core")
    try:
        shown = text(client.get(url("rules"), {"alias": "core"}))
    finally:
        cache_invalidator.unregister(rule)
    assert "of core" in shown
    assert "lists" not in shown


def test_looking_needs_only_the_view(sign_in: SignIn, rules: None) -> None:
    assert sign_in("view_cache").get(url("rules")).status_code == 200

"""The page Warmers: what each fills, what is there, how it went, and the buttons."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client
from embedded import running

from cache_admin.caching.warmers import chosen, warmer, warmers
from cache_admin.caching.warming import CacheWarmer
from cache_admin.models import Operation
from cache_admin.operations import purge, runner, warm
from cache_admin.operations.targets import Target
from tests.views.conftest import SignIn, text, url

HTMX = {"HX-Request": "true"}
Make = Callable[..., None]


@pytest.fixture
def make(cache: Any) -> Iterator[Make]:
    before = warmers._entries
    warmers._entries = {}

    def register(name: str, function: Callable[[], Any] = dict, **options: Any) -> None:
        warmer(name, **options)(function)

    yield register
    warmers._entries = before


@pytest.fixture
def shop(make: Make) -> None:
    make("home", lambda: {"home:page": 1}, critical=True, patterns=["home:page", "home:menu"])
    make(
        "categories",
        lambda: {f"category:{i}": i for i in range(8)},
        group="lists",
        critical=True,
        patterns=["category:*"],
    )
    make("products", lambda: {f"product:{i}": i for i in range(20)}, group="lists", patterns=["product:*"])
    make("broken", fails, group="other", alias="core", patterns=["feed:*"])


def fails() -> None:
    raise ValueError("<b>no stock</b>")


def plain(response: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text(response).replace("<wbr>", ""))).split())


def table(client: Client, **query: str) -> str:
    return plain(client.get(url("warmers"), query, headers=HTMX))


def run(client: Client, **data: str) -> Any:
    return client.post(url("warmers_start"), data, headers=HTMX)


@pytest.mark.servers
def test_the_page_opens_without_asking_a_cache(client: Client, shop: None, settings: Any) -> None:
    with running() as server:
        lost = {**settings.CACHES["default"], "LOCATION": f"{server.url}?db=0"}
        settings.CACHES = {**settings.CACHES, "default": lost, "core": lost}
        assert server.process
        server.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert "Run all critical" in text(client.get(url("warmers")))
        assert time.monotonic() - began < 1
        began = time.monotonic()
        told = client.get(url("warmers"), headers=HTMX)
        assert time.monotonic() - began < 3
        assert "not answering since" in text(told)
        assert plain(told).count("unknown") == 4
        server.process.send_signal(signal.SIGCONT)


def test_it_shows_what_each_fills_and_what_is_there(client: Client, shop: None) -> None:
    caches["default"].set_many({"home:page": 1, "category:1": 1, "category:2": 2})
    shown = table(client)
    assert "home critical home:page home:menu in default 1 of 2 50.0 % never — — Run" in shown
    assert "lists Run group categories critical category: * in default 2 never" in shown
    assert "broken feed: * in core 0 never" in shown


def test_one_runs_in_place_and_leaves_its_figures(client: Client, shop: None) -> None:
    response = run(client, warmer="categories")
    assert "Run the warmer categories." in plain(response)
    assert "categories 8 keys written in" in plain(response)
    assert "ca:operation-over" in response["HX-Trigger"]
    assert re.search(r"categories critical category: \* in default 8 of 8 100 % 0.\d s ago 8", table(client))
    row = Operation.objects.get()
    assert (row.kind, row.username, row.state, row.done_keys) == ("warm", "operator", "done", 8)


def test_a_group_and_all_critical_ones_run(client: Client, shop: None) -> None:
    run(client, group="lists")
    run(client, critical="1")
    assert [row.params["warmers"] for row in Operation.objects.order_by("created")] == [
        ["categories", "products"],
        ["home", "categories"],
    ]


def test_a_failure_stands_there_with_its_message_escaped(client: Client, shop: None) -> None:
    response = run(client, warmer="broken")
    assert "broken failed after 0 keys" in plain(response)
    assert "ValueError: <b>no stock</b>" in plain(response)
    shown = client.get(url("warmers"), headers=HTMX)
    assert "&lt;b&gt;no stock" in text(shown)
    assert "ago, failed" in plain(shown)
    assert plain(client.get(url("operation", Operation.objects.get().pk))).count("no stock") == 1


def test_it_can_be_narrowed_to_a_cache(client: Client, shop: None) -> None:
    page = plain(client.get(url("warmers"), {"alias": "core"}))
    assert "broken" in page
    assert "categories" not in page
    assert "3 more warmers of other caches" in page
    run(client, alias="core", critical="1")
    assert not Operation.objects.exists(), "none of core is critical"


def test_runs_of_commands_and_code_stand_there_too(client: Client, shop: None) -> None:
    CacheWarmer.run(chosen(["products"]))
    assert re.search(r"products product: \* in default 20 of 20 100 % 0.\d s ago 20", table(client))


def test_more_keys_than_it_wrote_are_not_held_against_it(client: Client, shop: None) -> None:
    run(client, warmer="products")
    caches["default"].set_many({f"product:{i}": i for i in range(30)})
    assert re.search(r"products product: \* in default 30 0.\d s ago 20", table(client))


def test_what_is_not_known_is_said_so(client: Client, make: Make) -> None:
    make("silent")
    make("local", alias="locmem", patterns=["a:*"])
    caches["locmem"].set("cache_warm:local:last", None)
    shown = text(client.get(url("warmers"), headers=HTMX))
    assert "does not say which keys it fills" in shown
    assert "cannot list its keys" in shown


def test_one_that_is_overdue_is_marked(client: Client, make: Make) -> None:
    make("hourly", lambda: {"a": 1}, every=3600, patterns=["a"])
    run(client, warmer="hourly")
    assert "hourly a in" not in table(client)
    assert " due " not in table(client)
    row = Operation.objects.get()
    row.cursor["results"]["hourly"]["at"] -= 4000
    row.save()
    caches["default"].delete("cache_warm:hourly:last")
    assert "hourly due a" in table(client)


def test_without_warmers_the_page_says_how_to_write_one(client: Client, make: Make) -> None:
    page = client.get(url("warmers"))
    assert "@warmer(" in text(page)
    assert "Run all critical" not in text(page)
    assert "Warmers</a>" not in text(client.get(url("dashboard", "default"))), "no tab for nothing"


def test_the_tab_leads_to_those_of_the_alias(client: Client, shop: None, sign_in: SignIn) -> None:
    link = f'href="{url("warmers")}?alias=default"'
    assert link in text(client.get(url("patterns", "default")))
    assert url("warmers") not in text(sign_in("view_cache").get(url("patterns", "default")))


@pytest.mark.parametrize("data", [{"warmer": "gone"}, {}, {"group": "gone"}, {"warmer": "hidden"}])
def test_what_names_no_warmer_is_told(client: Client, shop: None, make: Make, settings: Any, data: dict) -> None:
    settings.CACHE_ADMIN = {"RUNNER": "inline", "ALIASES": ["default", "core"]}
    make("hidden", alias="json")
    response = run(client, **data)
    assert response.status_code == 200
    assert "warmer" in plain(response)
    assert not Operation.objects.exists()


def test_a_second_run_leads_to_the_first(client: Client, shop: None, sign_in: SignIn) -> None:
    other = sign_in("view_cache", "run_warmers", name="max")
    first, _ = runner.begin(warm.plan(["home"]), client.user)
    assert f"operations/{first.pk}/progress/" in text(run(client, warmer="products"))
    assert client.post(url("warmers_start"), {"warmer": "products"}).url == url("operation", first.pk)
    refused = run(other, warmer="products")
    assert refused.status_code == 409
    assert "started by operator: Run the warmer home." in plain(refused)
    assert f"operations/{first.pk}/progress/" in text(client.get(url("warmers")))
    assert "operator is at it: Run the warmer home." in plain(other.get(url("warmers")))


def purged(user: User, glob: str) -> Operation:
    return runner.start(purge.plan("default", [Target.glob(glob)], user), user)


def test_a_purge_offers_to_warm_what_it_dropped(client: Client, shop: None, raw: redis.Redis) -> None:
    caches["default"].set_many({"category:1": 1, "product:1": 1})
    operation = purged(client.user, "category:*")
    page = text(client.get(url("operation", operation.pk)))
    button = page[page.index('<form class="ca-after"') :]
    assert "Warm what was dropped" in button
    assert re.findall(r'name="warmer" value="(\w+)"', button) == ["categories"]
    response = client.post(url("warmers_start"), {"warmer": "categories"})
    warming = Operation.objects.get(kind="warm")
    assert response.url == url("operation", warming.pk)
    assert raw.exists("shop:1:category:7")


def test_a_purge_of_what_no_warmer_fills_offers_nothing(client: Client, shop: None) -> None:
    caches["default"].set("user:1", 1)
    operation = purged(client.user, "user:*")
    assert "Warm what was dropped" not in text(client.get(url("operation", operation.pk)))


def test_without_the_permission_the_offer_is_there_and_says_why_not(sign_in: SignIn, shop: None) -> None:
    client = sign_in("view_cache", "invalidate")
    caches["default"].set("category:1", 1)
    page = text(client.get(url("operation", purged(client.user, "category:*").pk)))
    assert re.search(r"<button id=\"ca-warm-dropped\"[^>]* disabled title=\"Needs the permission", page)
    assert client.post(url("warmers_start"), {"warmer": "categories"}).status_code == 403

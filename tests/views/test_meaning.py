from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.test import Client, RequestFactory
from django.utils import translation
from django.views.decorators.cache import cache_page

from cache_admin.caching import cache_result, purging
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.tags import tag_key
from cache_admin.caching.views import cache_per_user
from cache_admin.models import Operation
from cache_admin.operations import runner
from tests.shop_models.models import Category, Product
from tests.views.conftest import SignIn, text, url


@pytest.fixture
def shop(raw: redis.Redis) -> redis.Redis:
    """Neighbours that no meaning in these tests may touch."""
    caches["default"].set_many({"product:1": "x", "user:421:profile": "x", "superuser:42x": "x"})
    caches["core"].set("unrelated", "x")
    return raw


def page(path: str, alias: str, host: str = "testserver", user: User | None = None, prefix: str = "") -> None:
    """Fills the cache with a page as a visitor would."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"page {path}")

    request = RequestFactory(headers={"host": host}).get(path)
    if user:
        request.user = user
        cache_per_user(60, alias=alias)(view)(request)
    else:
        cache_page(60, cache=alias, key_prefix=prefix)(view)(request)


def names(raw: redis.Redis, alias: str = "default") -> set[str]:
    """The user keys that an alias still holds."""
    head = caches[alias].make_key("")
    client = redis.Redis(connection_pool=raw.connection_pool)
    if alias == "core":
        client = redis.Redis.from_url(f"unix://{raw.connection_pool.connection_kwargs['path']}?db=1")
    found = {key.decode()[len(head) :] for key in client.scan_iter(f"{head}*")}
    client.close()
    return found


def ask(client: Client, name: str = "meaning_confirm", *args: object, **data: object) -> Any:
    return client.post(url(name, *args), data)


def confirm(client: Client, **data: object) -> Any:
    """Goes from the form to the end; the response is the redirection."""
    asked = ask(client, **data)
    answers = asked.context["answers"]
    tokens = {"token": [a.token for a in answers], "alias": [a.alias for a in answers]}
    return ask(client, **data, **tokens)


def test_a_page_goes_by_its_path_in_every_cache_and_language(client: Client, shop: redis.Redis) -> None:
    for language in ("en", "de"):
        with translation.override(language):
            page("/products/7/?page=2", "core", prefix="lists")
            page("/products/7/?page=2", "default")
    page("/products/7/", "core")
    before = names(shop, "core")
    response = confirm(client, kind="page", target="/products/7/?page=2", reason="wrong price")
    left = names(shop, "core")
    assert len(before - left) == 4
    assert len(left) == 3
    assert "unrelated" in left
    assert names(shop) == {"product:1", "user:421:profile", "superuser:42x"}
    rows = {row.alias: row for row in Operation.objects.all()}
    assert set(rows) == {"default", "core"}
    assert all(row.reason == "wrong price" and row.state == "done" for row in rows.values())
    assert "the page /products/7/?page=2" in rows["core"].summary
    started = text(client.get(response.url))
    assert started.count("deleted") == 2


def test_a_page_of_another_host_needs_its_address(client: Client, shop: redis.Redis) -> None:
    page("/a/", "core", host="other.example")
    assert ask(client, kind="page", target="/a/").context["answers"] == []
    confirm(client, kind="page", target="http://other.example/a/")
    assert names(shop, "core") == {"unrelated"}


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("other.example", "HTTP://Other.Example/a/"),
        ("other.example", "http://other.example:80/a/#there"),
        ("other.example", "http://me:s3cret@other.example/a/"),
        ("other.example:8443", "https://other.example:8443/a/"),
        ("xn--bcher-kva.example", "https://bücher.example/a/"),
        ("[::1]:8000", "http://[::1]:8000/a/"),
    ],
)
def test_an_address_means_the_host_that_browsers_send(
    client: Client, shop: redis.Redis, settings: Any, sent: str, typed: str
) -> None:
    page("/a/", "core", host=sent)
    page("/a/", "core")
    response = confirm(client, kind="page", target=typed)
    assert len(names(shop, "core")) == 3, "the page of this site stays"
    assert "s3cret" not in text(client.get(response.url))


@pytest.mark.parametrize("typed", ["http://:80/", "http://[bad/", "//[", "http://a.example:port/", "ftp://a/", "a/b"])
def test_what_is_no_address_is_said(client: Client, shop: redis.Redis, typed: str) -> None:
    assert "or its whole address" in text(ask(client, kind="page", target=typed))


def test_all_of_a_fragment_or_one_version_of_it(client: Client, shop: redis.Redis) -> None:
    keys = {name: make_template_fragment_key("side", [name]) for name in ("anna", "ben")}
    other = make_template_fragment_key("side.bar", ["anna"])
    caches["default"].set_many({**dict.fromkeys(keys.values(), "x"), other: "x"})
    confirm(client, kind="fragment", target="side", more="anna")
    assert keys["anna"] not in names(shop)
    assert keys["ben"] in names(shop)
    caches["default"].set(keys["anna"], "x")
    confirm(client, kind="fragment", target="side")
    assert not {*keys.values()} & names(shop)
    assert other in names(shop)


def test_parts_that_were_rendered_otherwise_go_with_their_name(client: Client, shop: redis.Redis) -> None:
    engine = Engine(libraries={"parts": "cache_admin.templatetags.cache_admin_caching"})
    card = engine.from_string("{{ a }}")
    for name in ("card", "cardigan"):
        source = f"{{% load parts %}}{{% cache_include card '{name}' 60 a=1 %}}"
        for marks in product((True, False), repeat=3):
            names_of = dict(zip(("autoescape", "use_l10n", "use_tz"), marks, strict=True))
            engine.from_string(source).render(Context({"card": card}, **names_of))
    before = names(shop)
    assert sum(":card:" in name for name in before) == 8
    confirm(client, kind="fragment", target="card")
    assert {name for name in before if ":card:" in name} == before - names(shop)


def test_an_empty_line_is_no_tag(client: Client, shop: redis.Redis) -> None:
    caches["default"].set(tag_key("product:1"), 1)
    (answer,) = ask(client, kind="tag", target="product:1", more=" \r\n\t\r\n").context["answers"]
    assert answer.plan.params["tags"] == ["product:1"]


def test_a_tag_is_one_write_and_says_so(client: Client, shop: redis.Redis) -> None:
    calls = []

    @cache_result(60, key="meaning:priced:{pk}", tags=["product:{pk}"])
    def priced(pk: int) -> int:
        calls.append(pk)
        return pk

    priced(1), priced(2)
    asked = ask(client, kind="tag", target="product:1")
    (answer,) = asked.context["answers"]
    assert (answer.alias, answer.plan.keys) == ("default", 0)
    assert "how many there are is not known" in text(asked)
    before = names(shop)
    response = confirm(client, kind="tag", target="product:1")
    assert names(shop) == before
    assert "No key was deleted" in text(client.get(response.url))
    priced(1), priced(2)
    assert calls == [1, 2, 1]
    assert Operation.objects.get().params["tags"] == ["product:1"]


def test_a_tag_that_nothing_carries_has_nothing_to_confirm(client: Client, shop: redis.Redis) -> None:
    asked = ask(client, kind="tag", target="nowhere")
    assert "Nothing of it is in any cache." in text(asked)
    assert "Nothing of it in" not in text(asked)
    assert 'name="token"' not in text(asked)


@pytest.fixture
def rules() -> Iterator[None]:
    register = cache_invalidator.register_invalidation_rule
    made = [
        register(Product, tags=["product:{pk}"], keys=["front"], patterns=["list:{category_id}:*"], name="lists"),
        register(Product, lambda changes: None, name="called"),
        register(Product, keys=["page_of:{pk}"], alias="core", name="elsewhere"),
    ]
    yield
    for rule in made:
        cache_invalidator.unregister(rule)


def test_an_object_takes_what_its_rules_name(client: Client, shop: redis.Redis, rules: None) -> None:
    product = Product.objects.create(pk=7, name="Tea", category=Category.objects.create(pk=3, name="Hot"))
    stay = {"list:33:1", "shop_models.product:77:card", "product:1"}
    go = {"front", "list:3:1", "shop_models.product:7:card", "v2:shop_models.product:7:card"}
    caches["default"].set_many(dict.fromkeys((*go, *stay, tag_key("product:7")), 1))
    caches["core"].set_many({f"page_of:{product.pk}": 1, "page_of:77": 1})
    asked = ask(client, kind="object", target="shop_models.Product:7")
    shown = text(asked)
    assert "called" in shown
    assert "product:7" in shown
    stamp = caches["default"].get(tag_key("product:7"))
    confirm(client, kind="object", target="shop_models.Product:7")
    left = names(shop)
    assert not go & left
    assert stay <= left
    assert caches["default"].get(tag_key("product:7")) != stamp
    assert names(shop, "core") == {"unrelated", "page_of:77"}


def test_an_object_that_is_gone_goes_by_what_its_key_fills(client: Client, shop: redis.Redis, rules: None) -> None:
    caches["default"].set_many({"shop_models.product:8:card": 1})
    asked = ask(client, kind="object", target="shop_models.product:8")
    said = (
        "The rule “lists” cannot be filled in for it: it names more than the primary key, and the object is not in the"
    )
    assert said in text(asked)
    confirm(client, kind="object", target="shop_models.product:8")
    assert "shop_models.product:8:card" not in names(shop)


@pytest.mark.parametrize("typed", ["product:7", "shop_models.product", "shop_models.product:x", "a.b:1", ":", "7"])
def test_what_is_no_object_is_said(client: Client, shop: redis.Redis, typed: str) -> None:
    assert re.search("app.model:primary key|no primary key", text(ask(client, kind="object", target=typed)))


def test_an_object_without_a_table_is_said(client: Client, shop: redis.Redis) -> None:
    for name in ("meaning_preview", "meaning_confirm"):
        response = ask(client, name, kind="object", target="cache_admin.cache:1")
        assert response.status_code == 200
        assert "The rows of cache_admin.Cache cannot be read" in text(response)


def test_all_about_a_user_goes_and_sessions_stay(sign_in: SignIn, shop: redis.Redis, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "core"
    client = sign_in("view_cache", "invalidate")
    user = User.objects.create_user("customer42", email="c42@shop.example", pk=42)
    go = {
        "user:42:stats", "user:42", "recommendations:user:42", "v2:user:42:stats", "f:user:auth.user(42):limit:5",
        "auth.user:42:card", make_template_fragment_key("menu", [42]),
        make_template_fragment_key("menu", ["customer42"]),
    }  # fmt: skip
    stay = {"lock:checkout:user:42", "f:user:auth.user(421)", make_template_fragment_key("menu", [421])}
    caches["default"].set_many(dict.fromkeys((*go, *stay), 1))
    page("/me/", "core", user=user)
    page("/me/", "core", user=User.objects.create_user("customer421", pk=421))
    for owner in ("42", "42", "421"):
        from django.contrib.sessions.backends.cache import SessionStore

        store = SessionStore()
        store["_auth_user_id"] = owner
        store.save()
    before = names(shop, "core")
    for typed in ("42", "customer42", "c42@shop.example"):
        asked = ask(client, kind="user", target=typed)
        assert {answer.alias for answer in asked.context["answers"]} == {"default", "core"}
        assert "Sessions of this user: 2." in text(asked)
        # Its key does not tell whether 42 is a user's number or a product's.
        assert "Fragments with a version for 42: menu. If one varies on something else" in text(asked)
    assert "Fragments with" not in text(ask(client, kind="user", target="43"))
    confirm(client, kind="user", target="42")
    assert not go & names(shop)
    assert stay | {"product:1", "user:421:profile", "superuser:42x"} <= names(shop)
    gone = before - names(shop, "core")
    assert len(gone) == 2
    assert all(".user:42." in name for name in gone)


def test_nobody_of_that_name_is_said(client: Client, shop: redis.Redis) -> None:
    assert "No user has" in text(ask(client, kind="user", target="nobody@shop.example"))


def test_users_of_one_name_or_address_are_not_mistaken_for_each_other(client: Client, shop: redis.Redis) -> None:
    User.objects.create_user("anna", email="two@shop.example", pk=71)
    User.objects.create_user("anja", email="two@shop.example", pk=72)
    User.objects.create_user("71", pk=73)
    caches["default"].set_many({"user:71:stats": 1, "user:73:stats": 1})
    assert "More than one user" in text(ask(client, kind="user", target="two@shop.example"))
    asked = ask(client, kind="user", target="71")
    assert "Another user is called 71, with the number 73." in text(asked)
    confirm(client, kind="user", target="71")
    assert "user:71:stats" not in names(shop)
    assert "user:73:stats" in names(shop)


@pytest.mark.parametrize("name", ["<b>o'dd</b>", "\u202egro", "a*b?[c]", "über:alles", "x" * 150])
def test_odd_names_of_users_mean_them_alone(client: Client, shop: redis.Redis, name: str) -> None:
    User.objects.create_user(name, pk=74)
    User.objects.create_user(f"{name[:140]}2", pk=75)
    caches["default"].set_many({"user:74:stats": 1, "user:75:stats": 1})
    shown = text(ask(client, kind="user", target=name))
    assert "<b>o" not in shown
    confirm(client, kind="user", target=name)
    assert "user:74:stats" not in names(shop)
    assert "user:75:stats" in names(shop)


def test_a_cache_that_cannot_list_says_so_and_takes_exact_keys(client: Client, shop: redis.Redis) -> None:
    caches["locmem"].clear()
    asked = ask(client, kind="page", target="/a/")
    assert "cannot list its keys" in text(asked)
    key = make_template_fragment_key("side", ["anna"])
    caches["locmem"].set(key, "x")
    confirm(client, kind="fragment", target="side", more="anna")
    assert caches["locmem"].get(key) is None


def test_the_form_of_one_cache_knows_meanings_too(client: Client, shop: redis.Redis) -> None:
    keys = make_template_fragment_key("side", ["anna"])
    caches["default"].set(keys, "x")
    caches["core"].set(keys, "x")
    shown = text(ask(client, "invalidate_preview", "default", kind="fragment", target="side"))
    assert "Delete 1 key" in shown
    asked = ask(client, "invalidate_confirm", "default", kind="fragment", target="side")
    ask(client, "invalidate_confirm", "default", token=asked.context["token"])
    assert keys not in names(shop)
    assert keys in names(shop, "core")


@pytest.mark.parametrize("kind", ["page", "fragment", "object", "user", "tag", "glob", ""])
@pytest.mark.parametrize(
    "target", ["", " ", "/" * 3000, "a*[b", "http://[", "<script>alert(1)</script>", "\0", "é" * 300]
)
def test_anything_typed_is_answered_in_words(client: Client, shop: redis.Redis, kind: str, target: str) -> None:
    before = names(shop)
    for name in ("meaning_preview", "meaning_confirm"):
        response = ask(client, name, kind=kind, target=target)
        assert response.status_code == 200
        assert "<script>alert" not in text(response)
    assert names(shop) == before


def test_tokens_are_held_to_their_cache_and_user(client: Client, sign_in: SignIn, shop: redis.Redis) -> None:
    caches["default"].set(make_template_fragment_key("side"), "x")
    (answer,) = ask(client, kind="fragment", target="side").context["answers"]
    assert ask(client, token=answer.token, alias="core").status_code == 403
    other = sign_in("view_cache", "invalidate", name="other")
    assert ask(other, token=answer.token, alias="default").status_code == 403
    assert make_template_fragment_key("side") in names(shop)


def test_protected_keys_go_only_with_their_permission(sign_in: SignIn, shop: redis.Redis) -> None:
    caches["default"].set("lock:checkout:user:42", "x")
    mia = sign_in("view_cache", "invalidate")
    assert "may not invalidate protected" in text(ask(mia, kind="user", target="42", protected="1"))
    boss = sign_in("view_cache", "invalidate", "invalidate_protected", name="boss")
    confirm(boss, kind="user", target="42", protected="1")
    assert "lock:checkout:user:42" not in names(shop)


def test_the_overview_leads_to_each_meaning(client: Client, sign_in: SignIn, shop: redis.Redis) -> None:
    shown = text(client.get(url("cache_changelist")))
    for kind in ("page", "fragment", "object", "user", "tag"):
        assert f"{url('meaning')}?kind={kind}" in shown
        assert f'<option value="{kind}" selected>' in text(client.get(url("meaning"), {"kind": kind}))
    assert url("meaning") not in text(sign_in("view_cache").get(url("cache_changelist")))


def test_a_silent_server_is_said_and_the_others_go_on(client: Client, shop: redis.Redis, settings: Any) -> None:
    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {**settings.CACHES, "away": nowhere}
    caches["default"].set(make_template_fragment_key("side"), "x")
    asked = ask(client, kind="fragment", target="side")
    assert [answer.alias for answer in asked.context["answers"]] == ["default"]
    assert "refused connection" in text(asked)
    nothing = text(ask(client, kind="fragment", target="nowhere"))
    assert "Nothing of it is in any cache that could be looked into." in nothing
    assert "refused connection" in nothing


def test_keys_expire_over_a_while_but_tags_and_proxies_at_once(client: Client, shop: redis.Redis) -> None:
    told: list[tuple[list[str], list[str]]] = []

    class Proxy:
        def purge(self, urls: Sequence[str], tags: Sequence[str]) -> None:
            told.append((list(urls), list(tags)))

    rule = cache_invalidator.register_invalidation_rule(
        Product, tags=["product:{pk}"], keys=["front"], urls=["/products/{pk}/"], name="gently"
    )
    caches["default"].set_many({"front": 1, tag_key("product:7"): 1})
    try:
        with purging.purgers.temporarily("proxy", Proxy()):
            data = {"kind": "object", "target": "shop_models.product:7", "when": "spread", "seconds": "60"}
            assert "only keys expire over a while" in text(ask(client, **data))
            confirm(client, **data)
            assert purging.wait(5)
    finally:
        cache_invalidator.unregister(rule)
    assert told == [(["/products/7/"], ["product:7"])]
    assert caches["default"].get(tag_key("product:7")) != 1
    assert 0 < caches["default"].ttl("front") <= 61
    row = Operation.objects.get(alias="default")
    assert (row.kind, row.state, row.done_keys) == ("expire", "done", 1)


def test_a_permission_that_is_lost_in_between_starts_nothing(client: Client, shop: redis.Redis) -> None:
    caches["default"].set(make_template_fragment_key("side"), "x")
    (answer,) = ask(client, kind="fragment", target="side").context["answers"]
    client.user.user_permissions.remove(Permission.objects.get(codename="invalidate"))  # type: ignore[attr-defined]
    assert ask(client, token=answer.token, alias="default").status_code == 403
    assert make_template_fragment_key("side") in names(shop)


def test_a_token_without_its_cache_starts_nothing_of_them(client: Client, shop: redis.Redis) -> None:
    key = make_template_fragment_key("side")
    for alias in ("default", "core"):
        caches[alias].set(key, "x")
    tokens = [answer.token for answer in ask(client, kind="fragment", target="side").context["answers"]]
    assert len(tokens) == 2
    for aliases in ([], ["default"], ["default", "core", "json"]):
        assert ask(client, kind="fragment", target="side", token=tokens, alias=aliases).status_code == 403
    assert key in names(shop)
    assert key in names(shop, "core")


def test_a_second_operator_is_told_what_was_started_and_what_runs_already(
    client: Client, sign_in: SignIn, shop: redis.Redis
) -> None:
    key = make_template_fragment_key("side")
    for alias in ("default", "core"):
        caches[alias].set(key, "x")
    wish = {"kind": "fragment", "target": "side"}
    answers = {answer.alias: answer for answer in ask(client, **wish).context["answers"]}
    runner.begin(answers["core"].plan, client.user)  # type: ignore[attr-defined]
    other = sign_in("view_cache", "invalidate", name="other")
    again = ask(other, **wish).context["answers"]
    data = {"token": [answer.token for answer in again], "alias": [answer.alias for answer in again]}
    refused = ask(other, **wish, **data)
    assert refused.status_code == 409
    shown = text(refused)
    assert "Started in default, and no further." in shown
    assert "started by operator" in shown
    assert key not in names(shop)
    assert key in names(shop, "core")


@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_once_are_each_done_once(client: Client, shop: redis.Redis, settings: Any) -> None:
    """A double click, and another tab with the same form, in parallel."""
    key, found = make_template_fragment_key("side"), []

    def click(token: str) -> None:
        try:
            other = Client()
            other.cookies = client.cookies
            data = {"kind": "fragment", "target": "side", "token": token, "alias": "default"}
            found.append(other.post(url("meaning_confirm"), data).status_code)
        finally:
            connections.close_all()

    for round_ in range(1, 11):
        caches["default"].set(key, "x")
        (answer,) = ask(client, kind="fragment", target="side").context["answers"]
        threads = [threading.Thread(target=click, args=(answer.token,)) for _click in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [302] * 4 * round_
        assert Operation.objects.count() == round_

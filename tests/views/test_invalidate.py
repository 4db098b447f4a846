from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
import redis
from django.core import signing
from django.db import connection
from django.test import Client
from django.utils import timezone

from cache_admin import keys, patterns
from cache_admin.models import Operation
from cache_admin.operations import kinds
from tests.views.conftest import SignIn, text, url


@pytest.fixture
def products(raw: redis.Redis) -> redis.Redis:
    raw.mset({f"shop:1:product:{i}": "x" * 50 for i in range(20)})
    raw.mset({f"shop:1:product:{i}:reviews": "x" for i in range(5)})
    raw.mset({"long:1:product:1": "x", "shop:2:product:1": "x", "shop:1:lock:product": "x"})
    return raw


def preview(client: Client, **data: object) -> str:
    return text(client.post(url("invalidate_preview", "default"), data, headers={"HX-Request": "true"}))


def ask(client: Client, **data: object) -> str:
    """The token of the confirmation."""
    response = client.post(url("invalidate_confirm", "default"), data)
    assert response.status_code == 200
    return str(response.context["token"])


def confirm(client: Client, token: str, alias: str = "default", **data: object) -> object:
    return client.post(url("invalidate_confirm", alias), {"token": token, **data})


def test_a_glob_goes_from_the_form_to_the_record(client: Client, products: redis.Redis) -> None:
    form = client.get(url("invalidate", "default"))
    assert form.status_code == 200
    shown = preview(client, kind="glob", target="product:*")
    assert "25" in shown
    assert "shop:1:product:*" in shown
    token = ask(client, kind="glob", target="product:*")
    assert products.dbsize() == 28
    response = confirm(client, token, reason="prices were stale")
    operation = Operation.objects.get()
    assert response.url == url("operation", operation.pk)  # type: ignore[attr-defined]
    assert (operation.done_keys, operation.planned_keys, operation.state) == (25, 25, "done")
    assert (operation.reason, operation.username) == ("prices were stale", "operator")
    assert sorted(products.keys()) == [b"long:1:product:1", b"shop:1:lock:product", b"shop:2:product:1"]
    page = text(client.get(url("operation", operation.pk)))
    assert "25 keys deleted" in page
    assert "prices were stale" in page


def test_a_listed_pattern_takes_exactly_its_members(client: Client, products: redis.Redis) -> None:
    template = keys.token(patterns.fold(b"product:1"))
    form = client.get(url("invalidate", "default"), {"template": template})
    assert "product:" in text(form)
    assert form.context["plan"].keys == 20
    confirm(client, ask(client, kind="template", template=template))
    assert products.exists(*(f"shop:1:product:{i}:reviews" for i in range(5))) == 5
    assert not products.exists("shop:1:product:1")


def test_literals_several_at_once_take_no_wildcard(client: Client, raw: redis.Redis) -> None:
    raw.mset({"shop:1:user[1]": "x", "shop:1:user1": "x", "shop:1:a*": "x", "shop:1:ab": "x"})
    confirm(client, ask(client, kind="literal", target="user[1]", more="a*\r\nnothing"))
    assert sorted(raw.keys()) == [b"shop:1:ab", b"shop:1:user1"]


def test_spreading_gives_a_shorter_life_instead(client: Client, products: redis.Redis) -> None:
    confirm(client, ask(client, kind="glob", target="product:*", when="spread", seconds="100"))
    assert products.dbsize() == 28
    assert all(0 < products.ttl(key) <= 101 for key in products.keys("shop:1:product:*"))


def test_the_whole_alias_asks_for_its_name_to_the_letter(client: Client, products: redis.Redis) -> None:
    token = ask(client, kind="glob", target="**********")
    for typed in ("", "Default", " default", "default "):
        assert confirm(client, token, typed=typed, kind="alias").status_code == 403  # type: ignore[attr-defined]
    assert products.dbsize() == 28
    confirm(client, token, typed="default")
    assert sorted(products.keys()) == [b"long:1:product:1", b"shop:1:lock:product", b"shop:2:product:1"]


def test_a_token_works_once_however_often_it_is_sent(client: Client, products: redis.Redis) -> None:
    token = ask(client, kind="glob", target="product:*")
    first, second = confirm(client, token), confirm(client, token)
    assert first.url == second.url  # type: ignore[attr-defined]
    assert Operation.objects.count() == 1


def test_a_token_is_for_its_user_and_alias_alone(client: Client, sign_in: SignIn, products: redis.Redis) -> None:
    token = ask(client, kind="glob", target="product:*")
    other = sign_in("view_cache", "invalidate", name="other")
    assert confirm(other, token).status_code == 403  # type: ignore[attr-defined]
    assert confirm(client, token, alias="core").status_code == 403  # type: ignore[attr-defined]
    for forged in ("", "x", signing.dumps({"user": "1"}), token[:-3]):
        assert confirm(client, forged).status_code == 403  # type: ignore[attr-defined]
    assert set(Operation.objects.values_list("state", flat=True)) == {"refused"}
    assert Operation.objects.filter(username="other").count() == 1
    assert products.dbsize() == 28


def test_an_old_token_is_refused(
    client: Client, products: redis.Redis, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CACHE_ADMIN = {"RUNNER": "inline", "CONFIRMATION_SECONDS": 10}  # type: ignore[attr-defined]
    token, later = ask(client, kind="glob", target="product:*"), time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    response = confirm(client, token, kind="glob", target="product:*")
    assert response.status_code == 403  # type: ignore[attr-defined]
    assert "older than" in text(response)
    assert products.dbsize() == 28


def test_protected_keys_stay_without_their_permission(sign_in: SignIn, products: redis.Redis) -> None:
    mia = sign_in("view_cache", "invalidate")
    assert "may not invalidate protected" in preview(mia, kind="glob", target="lock:*", protected="1")
    confirm(mia, ask(mia, kind="glob", target="lock:*"))
    assert products.exists("shop:1:lock:product")
    boss = sign_in("view_cache", "invalidate", "invalidate_protected", name="boss")
    confirm(boss, ask(boss, kind="glob", target="lock:*", protected="1"))
    assert not products.exists("shop:1:lock:product")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a*" * 50 + "b", "too many wildcards"),
        ("x" * 300, "250 is the most"),
        ("product\\", "lone backslash"),
        ("..:2:*", "Nothing matches"),
        ("shop:1:product:*", "Leave it out"),
        ("long:1:*", "belong to the alias json"),
        ("a\0b\x07", "\\x00"),
        ("\u202eevil", "\\u202e"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
    ],
)
def test_a_bad_pattern_is_answered_in_words(client: Client, products: redis.Redis, typed: str, said: str) -> None:
    shown = preview(client, kind="glob", target=typed)
    assert said in shown
    assert "<script>alert" not in shown
    assert products.dbsize() == 28


def test_an_empty_form_has_nothing_to_confirm(client: Client, products: redis.Redis) -> None:
    response = client.post(url("invalidate_confirm", "default"), {"kind": "glob", "target": ""})
    assert "Nothing is chosen" in text(response)
    assert "token" not in response.context


def test_a_pattern_of_a_megabyte_is_not_sent(client: Client, products: redis.Redis) -> None:
    response = client.post(url("invalidate_preview", "default"), {"kind": "glob", "target": "x" * 1_000_000})
    assert response.status_code in {200, 400, 413}
    assert "250 is the most" in text(response)
    assert client.post(url("invalidate_preview", "default"), {"target": "x" * 3_000_000}).status_code == 400


@pytest.mark.parametrize("seconds", ["0", "-1", "abc", "9" * 20, "1.5", "99999999"])
def test_senseless_seconds_are_answered_in_words(client: Client, products: redis.Redis, seconds: str) -> None:
    shown = preview(client, kind="glob", target="product:*", when="spread", seconds=seconds)
    assert re.search("whole number|1 second to 365 days", shown)


def test_looking_changes_nothing(client: Client, products: redis.Redis) -> None:
    before = {key: products.dump(key) for key in products.scan_iter()}
    for path in (url("invalidate", "default") + "?kind=alias", url("patterns", "default"), url("keys", "default")):
        client.get(path)
    preview(client, kind="alias")
    assert {key: products.dump(key) for key in products.scan_iter()} == before
    assert not Operation.objects.exists()


@pytest.mark.parametrize("name", ["invalidate_confirm", "invalidate_preview", "census_start"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_reading_a_verb_is_not_allowed(client: Client, products: redis.Redis, name: str, method: str) -> None:
    assert getattr(client, method)(url(name, "default") + "?kind=alias&typed=default").status_code == 405
    assert products.dbsize() == 28


def test_no_address_in_the_form_is_followed(client: Client, products: redis.Redis) -> None:
    response = confirm(client, ask(client, kind="glob", target="product:*"), next="//evil.example")
    assert response.url.startswith("/admin/")  # type: ignore[attr-defined]


def test_the_way_back_fills_the_form_again(client: Client, products: redis.Redis) -> None:
    data = {"kind": "glob", "target": "product:*", "when": "spread", "seconds": "60", "reason": "because"}
    page = text(client.post(url("invalidate_confirm", "default"), data))
    back = re.search(r'href="([^"]+/invalidate/\?[^"]+)"', page)
    assert back
    form = text(client.get(back[1].replace("&amp;", "&")))
    assert 'value="product:*"' in form
    assert 'value="because"' in form


def test_a_second_start_of_the_same_leads_to_the_first(client: Client, sign_in: SignIn, products: redis.Redis) -> None:
    token = ask(client, kind="glob", target="product:*")
    confirm(client, token)
    first = Operation.objects.get()
    key = kinds.get("purge").active_key("default", first.params)
    later = timezone.now() + timedelta(minutes=1)
    Operation.objects.update(state="running", active_key=key, lease_until=later)
    response = confirm(client, ask(client, kind="glob", target="product:*"), kind="glob", target="product:*")
    assert response.status_code == 409  # type: ignore[attr-defined]
    assert url("operation", first.pk) in text(response)
    assert Operation.objects.count() == 1
    other = sign_in("view_cache", "invalidate", name="other")
    told = text(confirm(other, ask(other, kind="glob", target="product:*"), kind="glob", target="product:*"))
    assert "running already, started by operator" in told
    assert url("operation", first.pk) not in told, "it may not be looked at without view_audit"


@pytest.mark.sqlite
def test_nothing_is_deleted_without_its_record(client: Client, products: redis.Redis) -> None:
    token = ask(client, kind="glob", target="product:*")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER full BEFORE INSERT ON cache_admin_operation BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    response = confirm(client, token, kind="glob", target="product:*")
    assert "nothing was deleted" in text(response)
    assert products.dbsize() == 28

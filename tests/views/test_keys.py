from __future__ import annotations

from hashlib import blake2b

import pytest
import redis
from django.core import signing
from django.core.cache import caches
from django.test import Client

from cache_admin import keys, patterns
from tests.views.conftest import key_url, text, url


def listed(client: Client, **query: str) -> tuple[list[str], str | None]:
    response = client.get(url("keys", "default"), query)
    names = [name.text for name, _ in response.context.get("rows", ())]
    return names, response.context.get("following")


def test_every_key_is_listed_once_over_the_pages(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:item:{i}": "x" for i in range(2_500)} | {f"other:{i}": "x" for i in range(500)})
    seen: list[str] = []
    names, following = listed(client)
    while True:
        assert len(names) <= 100
        seen += names
        if following is None:
            break
        response = client.get(url("keys", "default") + following)
        names, following = [name.text for name, _ in response.context["rows"]], response.context["following"]
    assert sorted(seen) == sorted(f"shop:1:item:{i}" for i in range(2_500))


def test_a_key_deleted_between_two_pages_shifts_nothing(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:item:{i:03}": "x" for i in range(300)})
    names, following = listed(client)
    raw.delete(*names)
    response = client.get(url("keys", "default") + str(following))
    seen = {name.text for name, _ in response.context["rows"]}
    assert not seen & set(names)
    assert len(seen) == 100


@pytest.mark.parametrize("place", ["forged", "", "a:b:c", "x" * 5000])
def test_a_forged_place_offers_to_start_again(client: Client, raw: redis.Redis, place: str) -> None:
    raw.set("shop:1:a", "x")
    response = client.get(url("keys", "default"), {"place": place, "q": "a"})
    assert response.status_code == 200
    assert "Start again" in text(response) or not place


def test_a_place_belongs_to_its_search(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:item:{i}": "x" for i in range(300)})
    following = str(listed(client)[1])
    assert "Start again" in text(client.get(url("keys", "default") + following + "&q=other"))
    assert "Start again" in text(client.get(url("keys", "json") + following))


def test_a_restarted_server_begins_the_list_again(client: Client, raw: redis.Redis) -> None:
    raw.mset({f"shop:1:item:{i}": "x" for i in range(150)})
    state = [5, "another server process", "", 1_000]
    salt = f"cache_admin.keys.place.default.{blake2b(b'shop:1:*', digest_size=8).hexdigest()}"
    response = client.get(url("keys", "default"), {"place": signing.dumps(state, salt=salt, compress=True)})
    assert "restarted" in text(response)
    assert len(response.context["rows"]) == 100


def test_text_is_literal_and_a_glob_is_not(client: Client, raw: redis.Redis) -> None:
    raw.mset({"shop:1:user[1]": "x", "shop:1:user1": "x", "shop:1:a*b": "x", "shop:1:ab": "x"})
    assert listed(client, q="user[1]")[0] == ["shop:1:user[1]"]
    assert listed(client, q="user[1]", mode="glob")[0] == ["shop:1:user1"]
    assert listed(client, q="a*b")[0] == ["shop:1:a*b"]
    assert "Search as a glob" in text(client.get(url("keys", "default"), {"q": "a*b"}))


def test_keys_of_others_need_the_tick_and_cannot_be_changed(client: Client, raw: redis.Redis) -> None:
    raw.mset({"shop:1:a": "x", "celery\x06\x163": "x", "shop:2:a": "x"})
    assert listed(client)[0] == ["shop:1:a"]
    names, _ = listed(client, all="1")
    assert sorted(names) == ["celery\\x06\\x163", "shop:1:a", "shop:2:a"]
    page = text(client.get(key_url(b"celery\x06\x163")))
    assert "belongs to somebody else" in page
    assert 'name="verb"' not in page
    for verb in ("delete", "expire", "persist"):
        assert (
            client.post(key_url(b"celery\x06\x163", name="key_change"), {"verb": verb, "seconds": "5"}).status_code
            == 403
        )
    assert raw.exists("celery\x06\x163")


def test_sizes_and_expiry_stand_beside_the_names(client: Client, raw: redis.Redis) -> None:
    raw.set("shop:1:a", "x" * 1000, ex=7200)
    ((_, row),) = client.get(url("keys", "default")).context["rows"]
    assert row.size > 1000
    assert 7000 < row.probe.ttl <= 7200
    assert row.probe.type == "string"


def test_the_keys_of_a_pattern_are_exactly_its_members(client: Client, raw: redis.Redis) -> None:
    raw.mset({"shop:1:product:1": "x", "shop:1:product:2": "x", "shop:1:product:1:reviews": "x"})
    names, _ = listed(client, template=keys.token(patterns.fold(b"product:1")))
    assert names == ["shop:1:product:1", "shop:1:product:2"]
    assert "names no pattern" in text(client.get(url("keys", "default"), {"template": "%%"}))


@pytest.mark.parametrize("alias", ["default", "core", "locmem"])
def test_an_exact_key_is_looked_up_in_any_cache(client: Client, raw: redis.Redis, alias: str) -> None:
    caches[alias].set("a/b?c#d%2F", 1)
    assert f"Present in {alias}" in text(client.get(url("keys", alias), {"exact": "a/b?c#d%2F"}))
    assert f"Not in {alias}" in text(client.get(url("keys", alias), {"exact": "nothing"}))


@pytest.mark.parametrize("q", ["a*" * 50 + "b", "x" * 300, "\\", "\0", "\ud800", "\u202e", "x" * 100_000])
@pytest.mark.parametrize("mode", ["text", "glob"])
def test_any_search_gives_a_page_in_words(client: Client, raw: redis.Redis, q: str, mode: str) -> None:
    raw.set("shop:1:a", "x")
    query = {"q": q.encode("utf-8", "surrogatepass"), "mode": mode}
    response = client.get(url("keys", "default"), query)
    assert response.status_code == 200

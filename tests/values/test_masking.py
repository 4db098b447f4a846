from __future__ import annotations

import json
import pickle
import zlib

import pytest
from django.core.cache import caches

from cache_admin.adapters.base import RawValue, Storage
from cache_admin.keys import KeyCodec
from cache_admin.values.masking import Mask, key_text, luhn
from cache_admin.values.preview import preview
from tests.values.looking import child, look, texts

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
CARD = "4111 1111 1111 1111"
SECRET = "hunter2hunter2"
WRITERS = {
    "pickle": pickle.dumps,
    "pickle 0": lambda value: pickle.dumps(value, 0),
    "json": lambda value: json.dumps(value).encode(),
    "compressed": lambda value: zlib.compress(pickle.dumps(value)),
}
SECRETS = {
    "password": ({"user": {"Password": SECRET}}, SECRET),
    "field with another spelling": ({"X-Api-Key": SECRET}, SECRET),
    "camel case": ({"privateKey": SECRET}, SECRET),
    "whole structure": ({"cookies": {"a": {"b": SECRET}}}, SECRET),
    "header pair": ({"headers": [["Authorization", SECRET]]}, SECRET),
    "token of three parts": ({"note": f"Bearer {JWT}"}, JWT),
    "card": ({"note": f"paid with {CARD}."}, CARD),
    "card as a number": ({"number": int(CARD.replace(" ", ""))}, CARD.replace(" ", "")),
    "card with dashes": ([CARD.replace(" ", "-")], CARD.replace(" ", "-")),
    "password in a link": ({"next": f"https://x.example/?a=1&password={SECRET}"}, SECRET),
    "login in a link": ({"broker": f"redis://user:{SECRET}@host/0"}, SECRET),
    "document in a text": ({"body": json.dumps({"api_key": SECRET})}, SECRET),
    "private key": ({"pem": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}"}, SECRET),
    "secret as a name": ({JWT: 1}, JWT),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_masked_and_the_bytes_withheld(name, writer):
    value, secret = SECRETS[name]
    shown = look(WRITERS[writer](value), Storage())
    assert secret not in texts(shown)
    assert shown.masked >= 1
    assert (shown.raw_text, shown.hex) == ("", "")
    assert any("withheld" in note for note in shown.notes)


@pytest.mark.parametrize("name", SECRETS)
def test_revealing_shows_everything(name):
    value, secret = SECRETS[name]
    shown = look(pickle.dumps(value), reveal=True)
    assert secret in texts(shown)
    assert shown.masked == 0
    assert shown.hex


def test_a_masked_leaf_tells_its_length():
    node = child(look(pickle.dumps({"password": "x" * 32})).root, "password")
    assert (node.kind, node.text) == ("masked", "•••• (32 characters)")


def test_plain_texts_are_masked_by_shape():
    for text in [JWT, f"card {CARD}", f"x?token={SECRET}", f'{{"secret": "{SECRET}"']:
        shown = look(text.encode(), Storage())
        assert shown.root.kind == "masked"
        assert shown.raw_text == ""


@pytest.mark.parametrize(
    "value",
    [
        "This site uses cookies: see our policy",
        "1711111111111",
        "order 4111111111111112",
        "3.4111111111111111",
        {"password": None, "secret": False},
        {"version": "4.2.1", "id": 1234567890123456},
        "https://example.org:8000/path",
    ],
)
def test_harmless_values_are_not_masked(value):
    assert look(pickle.dumps(value)).masked == 0


def test_secrets_beyond_what_the_tree_shows_are_not_in_the_bytes_either():
    rows = [{"row": i} for i in range(600)]
    shown = look(pickle.dumps({"rows": rows, "more": {"password": SECRET}}))
    assert shown.hex == ""
    assert SECRET not in texts(shown)


def test_whole_keys_are_masked(settings):
    settings.CACHE_ADMIN = {"MASKED_KEYS": ["vault:*"]}
    data = pickle.dumps({"plain": SECRET})
    value = RawValue("string", len(data), data=data)
    shown = preview(value, Storage("pickle"), "vault:1")
    assert shown.root.kind == "masked"
    assert SECRET not in texts(shown)
    assert SECRET in texts(preview(value, Storage("pickle"), "other:1"))
    assert SECRET in texts(preview(value, Storage("pickle"), "vault:1", reveal=True))


def test_own_field_names_are_masked(settings):
    settings.CACHE_ADMIN = {"MASKED_FIELDS": ["kontonummer"]}
    shown = look(pickle.dumps({"Kontonummer": SECRET, "password": "shown"}))
    assert child(shown.root, "Kontonummer").kind == "masked"
    assert child(shown.root, "password").text == "shown"


def test_no_field_names_at_all_mask_nothing(settings):
    settings.CACHE_ADMIN = {"MASKED_FIELDS": []}
    assert look(pickle.dumps({"password": "shown"})).masked == 0


def test_luhn_as_in_the_standard():
    assert luhn("4111111111111111")
    assert luhn("79927398713")
    assert not luhn("4111111111111112")


def test_session_keys_in_names_are_no_usable_cookies():
    codec = KeyCodec.of(caches["default"])
    session = "abcdefgh12345678ijklmnop87654321"
    for engine in ["django.contrib.sessions.cache", "django.contrib.sessions.cached_db", "sessions:"]:
        shown = key_text(codec.raw(engine + session), codec, "session")
        assert shown == f"shop:1:{engine}abcdefgh••••••••"
    assert key_text(codec.raw("product:1"), codec) == "shop:1:product:1"
    assert key_text(codec.raw(session), codec, "session", reveal=True) == f"shop:1:{session}"
    assert JWT not in key_text(codec.raw(f"user:{JWT}"), codec)
    assert key_text(b"foreign\xff", codec) == "foreign\\xff"


def test_masked_keys_show_their_fixed_part(settings):
    settings.CACHE_ADMIN = {"MASKED_KEYS": ["vault:*"]}
    codec = KeyCodec.of(caches["default"])
    assert key_text(codec.raw("vault:abc"), codec) == "shop:1:vault:••••••••"


def test_bytes_that_are_no_text_are_one_byte_each_to_a_masked_glob(settings):
    settings.CACHE_ADMIN = {"MASKED_KEYS": ["vault:?"]}
    assert Mask.current().key(b"vault:\xff".decode("utf-8", "surrogateescape"))


def test_rules_come_from_the_settings_in_force(settings):
    settings.CACHE_ADMIN = {"MASKED_KEYS": ["a:*"]}
    assert Mask.current().key("a:1")
    assert not Mask.current(reveal=True).key("a:1")

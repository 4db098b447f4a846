"""Well-known keys are recognised by their names, and the settings say which of them are protected."""

from __future__ import annotations

import pytest
import redis
from django.contrib.sessions.backends.cache import SessionStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedDbSessionStore
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.cache import learn_cache_key

from cache_admin.keyspace.catalogue import family, protected, title
from cache_admin.patterns import display, fold

MD5 = "0cc175b9c0f1b6a831c399e269772661"


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        (f"views.decorators.cache.cache_page.site.GET.{MD5}.{MD5}", "cache_page", "Cached pages, prefix “site”"),
        (f"views.decorators.cache.cache_page..HEAD.{MD5}.{MD5}.en-us.UTC", "cache_page", "Cached pages"),
        (f"views.decorators.cache.cache_page.a.b.GET.{MD5}.{MD5}.de", "cache_page", "Cached pages, prefix “a.b”"),
        (
            f"views.decorators.cache.cache_header.site.{MD5}.en-us.UTC",
            "cache_header",
            "Headers that cached pages vary on, prefix “site”",
        ),
        (f"template.cache.side.bar.{MD5}", "fragment", "Template fragment “side.bar”"),
        ("throttle_anon_10.0.0.1", "throttle", "REST throttle “anon”"),
        ("throttle_burst_user_17", "throttle", "REST throttle “burst_user”"),
        (f"rl:{MD5}", "throttle", "Rate limits"),
        (f"axes-{MD5}{MD5}", "throttle", "Rate limits"),
        ("lock:report", "lock", "Locks"),
        ("report:7:lock", "lock", "Locks"),
        ("celery-task-meta-1", "queue", "Celery results"),
        ("_kombu.binding.celery", "queue", "Celery queues"),
        ("unacked_index", "queue", "Celery queues"),
        ("celery", "queue", "Celery queues"),
        ("emails\x06\x163", "queue", "Celery queues"),
        ("celery@host.celery.pidbox", "queue", "Celery queues"),
        ("rq:queue:default", "queue", "RQ jobs and queues"),
        ("asgi:specific.abc!def", "queue", "Channel layer"),
        ("asgi::group:chat", "queue", "Channel layer"),
        ("dramatiq:default", "queue", "Dramatiq queues"),
        ("constance:THEME", "setting", "Live settings (constance)"),
        (f"waffle:4.1.0{MD5}", "flag", "Feature flags (waffle)"),
        (f"sorl-thumbnail||image||{MD5}", "thumbnail", "Thumbnails (sorl)"),
        ("select2_12345678-1234-1234-1234-123456789abc", "widget", "Form widgets (select2)"),
        ("wagtail-rendition-7-abc-width-400", "rendition", "Image renditions (Wagtail)"),
    ],
)
def test_a_well_known_key_has_a_family_and_a_title(key: str, name: str, words: str) -> None:
    found = family(key.encode())
    assert found is not None
    assert (found.name, title(key.encode())) == (name, words)


@pytest.mark.parametrize(
    "key", ["product:7", "blocked:users", "clock", "celeryman", "lockers", "", "template.cache.sidebar", "throttle_"]
)
def test_other_keys_have_none(key: str) -> None:
    assert family(key.encode()) is None
    assert title(key.encode()) == ""
    assert not protected(key.encode())


def test_keys_as_django_makes_them_are_recognised(raw: redis.Redis) -> None:
    request = RequestFactory().get("/products/?page=2")
    page = learn_cache_key(request, HttpResponse(), key_prefix="site")
    (header,) = (key.removeprefix(b"shop:1:").decode() for key in raw.scan_iter())
    made = {
        page: "cache_page",
        header: "cache_header",
        make_template_fragment_key("sidebar", ["7"]): "fragment",
        SessionStore.cache_key_prefix + SessionStore()._get_new_session_key(): "session",
        CachedDbSessionStore.cache_key_prefix + "a1" * 16: "session",
    }
    for key, name in made.items():
        found = family(key.encode())
        assert found is not None
        assert found.name == name
        assert "*" in display(fold(key.encode()))


def test_the_settings_say_what_is_protected() -> None:
    assert protected(b"lock:x")
    assert protected(b"django.contrib.sessions.cache" + b"a1" * 16)
    assert not protected(b"template.cache.sidebar." + MD5.encode())
    with override_settings(CACHE_ADMIN={"PROTECTED_FAMILIES": ["fragment"], "PROTECTED_PATTERNS": ["keep:*"]}):
        assert not protected(b"lock:x")
        assert protected(b"template.cache.sidebar." + MD5.encode())
        assert protected(b"keep:\xff:7")
        assert not protected(b"keeper")


@pytest.mark.timeout(5)
def test_hostile_names_are_judged_fast() -> None:
    for name in (
        b"a:" * 200_000,
        b"template.cache." * 20_000,
        b"throttle_" + b"_" * 300_000,
        b"a.celery.pidbo" * 9_000,
    ):
        assert family(name) is None or family(name).name in {"throttle", "lock"}  # type: ignore[union-attr]

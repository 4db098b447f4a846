"""Real pages, kept by Django's own decorator and middleware, found again by their URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis
from django.conf import global_settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, path
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page

from cache_admin.caching.pages import ainvalidate_page, invalidate_page
from cache_admin.caching.views import cache_per_user
from cache_admin.exceptions import Unsupported

pytestmark = pytest.mark.filterwarnings("error")
calls: list[str] = []


def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
    calls.append(request.get_full_path())
    response = HttpResponse(str(len(calls)))
    if vary := request.GET.get("vary"):
        patch_vary_headers(response, vary.split(","))
    return response


async def aanswer(request: HttpRequest) -> HttpResponse:
    return answer(request)


def _urls(alias: str) -> list[object]:
    return [
        path(f"{alias}/plain/", cache_page(60, cache=alias)(answer), name=f"{alias}-plain"),
        path(f"{alias}/product/<int:pk>/", cache_page(60, cache=alias)(answer), name=f"{alias}-product"),
        path(f"{alias}/prefixed/", cache_page(60, cache=alias, key_prefix="a.b*")(answer)),
        path(f"{alias}/café/", cache_page(60, cache=alias)(answer)),
        path(f"{alias}/mine/", cache_per_user(60, alias=alias)(answer)),
        path(f"{alias}/mine-async/", cache_per_user(60, alias=alias)(aanswer)),
        path(
            f"{alias}/mine-class/",
            method_decorator(cache_per_user(60, alias=alias), "dispatch")(type("Mine", (View,), {})).as_view(),
        ),
    ]


urlpatterns = [url for alias in ("default", "core", "locmem", "files", "table", "memcached") for url in _urls(alias)]


@pytest.fixture(autouse=True)
def site(raw: redis.Redis) -> Iterator[None]:
    calls.clear()
    caches["locmem"].clear()
    hosts, languages = ["testserver", "shop.example"], [("en", "English"), ("de", "German")]
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=hosts, LANGUAGES=languages, MIDDLEWARE=[]):
        yield


@pytest.fixture(params=["default", "core", "locmem"])
def alias(request: pytest.FixtureRequest) -> str:
    return request.param


def get(url: str, method: str = "get", **extra: object) -> str:
    """Visits a page; what it says tells whether it was made anew."""
    response = getattr(Client(), method)(url, **extra)
    assert response.status_code == 200
    return response.content.decode()


def made(url: str, **extra: object) -> bool:
    before = len(calls)
    get(url, **extra)
    return len(calls) > before


def test_one_page_goes_and_its_neighbours_stay(alias: str):
    gone, stays = f"/{alias}/plain/?page=1", f"/{alias}/plain/?page=2"
    get(gone), get(stays)
    assert invalidate_page(gone, alias=alias) == 2
    assert (made(gone), made(stays)) == (True, False)
    assert invalidate_page(f"/{alias}/plain/", alias=alias) == 0


def test_a_page_goes_from_every_kind_of_cache(kind: str):
    gone, stays = f"/{kind}/product/1/?vary=Accept", f"/{kind}/product/10/"
    get(gone, HTTP_ACCEPT="text/html"), get(stays), get(gone, "head", HTTP_ACCEPT="text/html")
    headers = [{"Accept": "text/html"}]
    assert invalidate_page(f"http://testserver{gone}", alias=kind, headers=headers) >= 2
    assert made(gone, HTTP_ACCEPT="text/html")
    assert not made(stays)
    assert asyncio.run(ainvalidate_page(f"http://testserver{stays}", alias=kind)) == 2
    assert made(stays)


def test_head_and_get_go(alias: str):
    url = f"/{alias}/plain/"
    get(url, "head")
    get(url)
    assert invalidate_page(url, alias=alias) >= 2
    assert made(url)


def test_all_languages_and_time_zones_go(alias: str):
    url = f"/{alias}/plain/"
    for language, zone in (("en", "UTC"), ("de", "Asia/Tokyo"), (None, "Europe/Berlin")):
        with translation.override(language), timezone.override(zone):
            get(url)
    assert len(calls) == 3
    assert invalidate_page(url, alias=alias) == 6
    for language, zone in (("en", "UTC"), ("de", "Asia/Tokyo"), (None, "Europe/Berlin")):
        with translation.override(language), timezone.override(zone):
            assert made(url)


def test_a_site_that_chose_no_languages_is_searched_for_the_default_alone():
    url = "/locmem/plain/"
    with override_settings(LANGUAGES=global_settings.LANGUAGES):
        get(url)
        assert invalidate_page(url, alias="locmem") == 2


def test_too_many_languages_and_zones_to_try_are_refused_in_words():
    languages = [(f"l{number}", "x") for number in range(600)]
    with override_settings(LANGUAGES=languages), pytest.raises(Unsupported, match=r"locmem.*too many"):
        invalidate_page("/locmem/plain/", alias="locmem")


@pytest.mark.parametrize("setting", [{"USE_I18N": False}, {"USE_TZ": False}, {"USE_I18N": False, "USE_TZ": False}])
def test_pages_of_a_site_without_languages_or_zones_go(alias: str, setting: dict[str, bool]):
    url = f"/{alias}/plain/"
    with override_settings(**setting):
        get(url)
        assert invalidate_page(url, alias=alias) == 2
        assert made(url)


def test_both_schemes_and_all_known_hosts_go(alias: str):
    url = f"/{alias}/plain/"
    visits = [{}, {"secure": True}, {"headers": {"host": "shop.example"}}]
    for extra in visits:
        get(url, **extra)
    assert invalidate_page(url, alias=alias) == 6
    assert all(made(url, **extra) for extra in visits)


def test_an_absolute_url_names_its_host(alias: str):
    url = f"/{alias}/plain/"
    get(url), get(url, headers={"host": "shop.example"})
    assert invalidate_page(f"https://shop.example{url}", alias=alias) == 2
    assert (made(url), made(url, headers={"host": "shop.example"})) == (False, True)


def test_a_request_names_the_host_of_a_path(alias: str):
    url = f"/{alias}/plain/"
    get(url), get(url, headers={"host": "shop.example"})
    request = RequestFactory().get("/admin/", headers={"host": "shop.example"})
    assert invalidate_page(url, alias=alias, request=request) == 2
    assert not made(url)


@override_settings(ALLOWED_HOSTS=["*", ".example.com"])
def test_a_path_without_a_known_host_is_refused_in_words():
    with pytest.raises(ValueError, match="absolute URL"):
        invalidate_page("/plain/")


def test_a_view_is_named_as_for_reverse(alias: str):
    get(f"/{alias}/product/7/"), get(f"/{alias}/product/77/")
    assert invalidate_page(f"{alias}-product", pk=7, alias=alias) == 2
    assert (made(f"/{alias}/product/7/"), made(f"/{alias}/product/77/")) == (True, False)
    assert invalidate_page(f"{alias}-product", 77, alias=alias) == 2
    with pytest.raises(NoReverseMatch):
        invalidate_page("nowhere", alias=alias)


@pytest.mark.parametrize("typed", ["/{}/café/?q=ü", "/{}/caf%C3%A9/?q=%C3%BC"])
def test_a_path_may_be_encoded_or_not(alias: str, typed: str):
    get(f"/{alias}/café/?q=%C3%BC")
    assert invalidate_page(typed.format(alias), alias=alias) == 2


def test_every_prefix_goes_where_keys_can_be_listed(cache: object):
    get("/default/prefixed/")
    assert invalidate_page("/default/prefixed/", alias="default") == 2


def test_a_prefix_narrows_it(alias: str):
    url = f"/{alias}/prefixed/"
    get(url)
    assert invalidate_page(url, alias=alias, key_prefix="other") == 0
    assert invalidate_page(url, alias=alias, key_prefix="a.b*") == 2
    assert made(url)


def test_every_value_of_a_varying_header_goes_where_keys_can_be_listed(cache: object):
    url = "/default/plain/?vary=Accept,Cookie"
    for accept in ("text/html", "application/json"):
        get(url, headers={"accept": accept})
    assert invalidate_page(url, alias="default") == 3
    assert all(made(url, headers={"accept": accept}) for accept in ("text/html", "application/json"))


def test_values_of_headers_that_nobody_can_list_are_said_to_be_left():
    url = "/locmem/plain/?vary=Accept,Cookie"
    get(url, headers={"accept": "text/html"})
    with pytest.raises(Unsupported, match=r"locmem.*2 entries|locmem.*1 entries") as caught:
        invalidate_page(url, alias="locmem")
    assert "Accept, Cookie" in str(caught.value)
    assert made(url, headers={"accept": "text/html"})


def test_values_of_headers_can_be_given_where_nothing_can_be_listed():
    url = "/locmem/plain/?vary=Accept"
    visits = ["text/html", "application/json"]
    for accept in visits:
        get(url, headers={"accept": accept})
    headers = [{"Accept": accept} for accept in visits]
    assert invalidate_page(url, alias="locmem", headers=headers) == 3
    assert all(made(url, headers={"accept": accept}) for accept in visits)


@pytest.mark.django_db
def test_pages_of_one_user_or_of_all_go(alias: str):
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    users = [User.objects.create_user(name) for name in "ab"]
    with override_settings(MIDDLEWARE=middleware):
        clients = [Client(), Client()]
        for client, user in zip(clients, users, strict=True):
            client.force_login(user)
            client.get(f"/{alias}/mine/")
        assert invalidate_page(f"/{alias}/mine/", alias=alias, user=users[0]) == 2
        calls.clear()
        for client in clients:
            client.get(f"/{alias}/mine/")
        assert len(calls) == 1
        if alias == "locmem":
            with pytest.raises(
                Unsupported, match=r"0 entries went, but pages of single users .* Pass the user as user="
            ):
                invalidate_page(f"/{alias}/mine/", alias=alias)
            assert invalidate_page(f"/{alias}/plain/", alias=alias) == 0
        else:
            assert invalidate_page(f"/{alias}/mine/", alias=alias) == 4


@pytest.mark.parametrize("view", ["mine", "mine-async", "mine-class"])
def test_views_kept_for_each_user_are_known_where_their_pages_cannot_be_listed(view: str):
    with pytest.raises(Unsupported, match="pages of single users"):
        invalidate_page(f"/locmem/{view}/", alias="locmem")
    assert invalidate_page(f"/locmem/{view}/", alias="locmem", user=User(pk=5)) == 0


def test_another_programs_keys_stay(raw: redis.Redis):
    get("/default/plain/")
    [ours] = [key for key in raw.scan_iter() if b"cache_header" in key]
    raw.set(ours.replace(b"shop:1:", b"long:1:"), b"x")
    invalidate_page("/default/plain/", alias="default")
    assert raw.dbsize() == 1


def test_no_request_for_a_forbidden_host_is_made_to_work():
    with pytest.raises(DisallowedHost):
        invalidate_page("/x/", request=RequestFactory().get("/", headers={"host": "evil.example"}))

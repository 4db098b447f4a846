from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.utils import timezone, translation
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.decorators import method_decorator
from django.views import View

from cache_admin.caching.views import cache_per_user


@pytest.fixture(autouse=True)
def empty():
    caches["locmem"].clear()


def visit(view: Any, pk: int | None = 1, path: str = "/", method: str = "get", **extra: Any) -> Any:
    request = getattr(RequestFactory(), method)(path, **extra)
    request.user = User(pk=pk) if pk else AnonymousUser()

    async def auser() -> Any:
        return request.user

    request.auser = auser
    response = view(request)
    return asyncio.run(response) if asyncio.iscoroutine(response) else response


class Counting:
    """A view that counts its calls and lets a test shape its responses."""

    def __init__(self, shape: Any = None, **options: Any) -> None:
        self.calls = 0
        self.shape = shape
        self.view = cache_per_user(60, alias="locmem", **options)(self.answer)

    def answer(self, request: HttpRequest) -> Any:
        self.calls += 1
        response = HttpResponse(f"{self.calls} for {request.user.pk}")
        return (self.shape(request, response) or response) if self.shape else response


def test_each_user_gets_their_own_page_once():
    page = Counting()
    assert [visit(page.view, pk).content for pk in (1, 2, 1, 2)] == [b"1 for 1", b"2 for 2", b"1 for 1", b"2 for 2"]


def test_pages_are_kept_in_every_kind_of_cache(kind: str):
    calls = []

    @cache_per_user(60, alias=kind)
    def page(request: HttpRequest) -> HttpResponse:
        calls.append(request.user.pk)
        return HttpResponse(f"{len(calls)}", headers={"Vary": "Accept"})

    @cache_per_user(60, alias=kind, key_prefix="async")
    async def apage(request: HttpRequest) -> HttpResponse:
        return page.__wrapped__(request)

    assert [visit(page, pk).content for pk in (1, 2, 1, 2)] == [b"1", b"2"] * 2
    assert [visit(apage, pk).content for pk in (1, 2, 1, 2)] == [b"3", b"4"] * 2
    assert visit(page, 1, HTTP_ACCEPT="text/plain").content == b"5"
    assert visit(page, "é*[ x" * 80).content == visit(page, "é*[ x" * 80).content == b"6"


def test_anonymous_users_and_requests_without_a_user_pass_through():
    page = Counting(lambda request, response: HttpResponse("hello"))
    for _ in range(2):
        assert visit(page.view, None).headers.get("Cache-Control") is None
    plain = cache_per_user(60, alias="locmem")(lambda request: HttpResponse("no user"))
    assert plain(RequestFactory().get("/")).content == b"no user"
    assert page.calls == 2


@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_only_get_and_head_are_kept(method: str):
    page = Counting()
    visit(page.view, method=method)
    visit(page.view, method=method)
    assert page.calls == 2


def test_head_and_get_are_kept_apart():
    page = Counting()
    for method in ("get", "head", "get", "head"):
        visit(page.view, method=method)
    assert page.calls == 2


def sets_cookie(request, response):
    response.set_cookie("seen", "1")


def status_404(request, response):
    response.status_code = 404


def says(word: str):
    return lambda request, response: patch_cache_control(response, **{word: True})


def writes_to_the_session(request, response):
    request.session = SessionStore()
    request.session["seen"] = 1


def shows_messages(request, response):
    request.session = {}
    request._messages = FallbackStorage(request)
    messages.info(request, "Saved.")
    list(messages.get_messages(request))


@pytest.mark.parametrize(
    "shape",
    [
        sets_cookie,
        status_404,
        says("private"),
        says("no_store"),
        says("no_cache"),
        lambda request, response: StreamingHttpResponse([b"x"]),
        lambda request, response: patch_vary_headers(response, ["*"]),
        lambda request, response: get_token(request) and None,
        writes_to_the_session,
        shows_messages,
    ],
    ids=[
        "cookie",
        "not found",
        "private",
        "no-store",
        "no-cache",
        "streaming",
        "vary on everything",
        "csrf token",
        "session",
        "messages",
    ],
)
def test_what_belongs_to_one_moment_is_never_kept(shape):
    page = Counting(shape)
    visit(page.view)
    visit(page.view)
    assert page.calls == 2


def test_a_template_response_is_rendered_before_it_is_kept():
    template = engines["django"].from_string("{{ word }}")
    page = Counting(lambda request, response: TemplateResponse(request, template, {"word": "early"}))
    first = visit(page.view)
    first.context_data["word"] = "late"  # as a middleware may
    first.render()
    second = visit(page.view)
    assert (page.calls, second.content, second["Cache-Control"]) == (1, b"late", "private")


def test_a_template_response_that_sets_a_cookie_while_it_renders_is_not_kept():
    template = engines["django"].from_string("<form>{% csrf_token %}</form>")
    page = Counting(lambda request, response: TemplateResponse(request, template, {}))
    visit(page.view).render()
    visit(page.view).render()
    assert page.calls == 2


@override_settings(ALLOWED_HOSTS=["*"])
def test_everything_that_shapes_a_page_is_in_the_key():
    page = Counting()
    with translation.override("en"), timezone.override("UTC"):
        variants = [
            lambda: visit(page.view),
            lambda: visit(page.view, path="/other"),
            lambda: visit(page.view, path="/?a=1&a=2"),
            lambda: visit(page.view, path="/?a=2"),
            lambda: visit(page.view, HTTP_HOST="other.example"),
            lambda: visit(page.view, secure=True),
        ]
        seen = [variant().content for variant in variants]
        with translation.override("de"):
            seen.append(visit(page.view).content)
        with timezone.override("Asia/Tokyo"):
            seen.append(visit(page.view).content)
        assert len(set(seen)) == page.calls == 8
        assert [variant().content for variant in variants] == seen[:6]


def test_headers_that_a_page_varies_on_are_in_the_key():
    page = Counting(lambda request, response: patch_vary_headers(response, ["Accept"]))
    for accept in ("text/html", "application/json", "text/html", "application/json"):
        visit(page.view, HTTP_ACCEPT=accept)
    assert page.calls == 2


def test_a_page_leaves_marked_as_private_and_is_the_same_the_second_time():
    page = Counting()
    assert [visit(page.view)["Cache-Control"] for _ in range(2)] == ["private", "private"]


def test_two_views_of_one_url_are_told_apart_by_prefix():
    first, second = Counting(key_prefix="a"), Counting(key_prefix="b")
    visit(first.view)
    visit(second.view)
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize("pk", ["a b", "x" * 300, "é*[", 5])
def test_any_primary_key_makes_a_key_that_every_cache_takes(pk: Any):
    page = Counting()
    for _ in range(2):
        visit(page.view, pk)
    assert page.calls == 1
    [key] = [key for key in caches["locmem"]._cache if "cache_page" in key]
    assert len(key) < 230
    assert key.isascii()
    assert " " not in key


def test_async_views_are_kept_for_each_user():
    calls = []

    @cache_per_user(60, alias="locmem")
    async def view(request: HttpRequest) -> HttpResponse:
        calls.append(request.user.pk)
        return HttpResponse(str(len(calls)))

    assert [visit(view, pk).content for pk in (1, 1, 2, None, None)] == [b"1", b"1", b"2", b"3", b"4"]


def test_methods_of_class_based_views_are_decorated():
    calls = []

    @method_decorator(cache_per_user(60, alias="locmem"), name="dispatch")
    class Page(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            calls.append(1)
            return HttpResponse(str(len(calls)))

    view = Page.as_view()
    assert [visit(view, pk).content for pk in (1, 1, 2)] == [b"1", b"1", b"2"]


def test_async_class_based_views_are_decorated():
    calls = []

    @method_decorator(cache_per_user(60, alias="locmem"), name="dispatch")
    class Page(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            calls.append(1)
            return HttpResponse(str(len(calls)))

    view = Page.as_view()
    assert [visit(view, pk).content for pk in (1, 1, 2)] == [b"1", b"1", b"2"]


@pytest.mark.parametrize(
    "shape",
    [sets_cookie, status_404, says("private"), says("no_store"), writes_to_the_session, shows_messages],
    ids=["cookie", "not found", "private", "no-store", "session", "messages"],
)
def test_what_belongs_to_one_moment_is_never_kept_of_an_async_view(shape):
    calls = []

    @cache_per_user(60, alias="locmem")
    async def view(request: HttpRequest) -> HttpResponse:
        calls.append(1)
        response = HttpResponse("x")
        return shape(request, response) or response

    visit(view)
    visit(view)
    visit(view, method="post")
    assert len(calls) == 3


def test_a_template_response_of_an_async_view_is_rendered_before_it_is_kept():
    template, calls = engines["django"].from_string("{{ word }}"), []

    @cache_per_user(60, alias="locmem")
    async def view(request: HttpRequest) -> TemplateResponse:
        calls.append(1)
        return TemplateResponse(request, template, {"word": "early"})

    first = visit(view)
    first.context_data["word"] = "late"
    first.render()
    assert (visit(view).content, len(calls)) == (b"late", 1)


def test_a_broken_view_keeps_nothing():
    page = Counting(lambda request, response: 1 / 0 if page.calls == 1 else None)
    with pytest.raises(ZeroDivisionError):
        visit(page.view)
    assert visit(page.view).content == b"2 for 1"

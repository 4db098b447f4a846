"""What a request asked of the caches is told with its response, to those who may see it, and never with another's."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import caches
from django.db import DatabaseError
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject

from cache_admin.monitoring import instrument, middleware
from cache_admin.monitoring.middleware import CacheMonitoringMiddleware

MIDDLEWARE = "cache_admin.monitoring.middleware.CacheMonitoringMiddleware"
Respond = Callable[..., Any]


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    caches["locmem"].clear()
    middleware._sessions.clear()
    yield
    instrument.unlisten(middleware.count)


def work(request: HttpRequest | None = None) -> HttpResponse:
    """2 hits, 3 misses, 3 sets."""
    the = caches["locmem"]
    the.set("none", None)
    the.get("none")
    the.get_many(["none", "gone", "lost"])
    the.get_or_set("made", lambda: caches["dummy"].set("x", 1) or 1)
    return HttpResponse("done")


def ask(get_response: Respond, **headers: str) -> Any:
    return CacheMonitoringMiddleware(get_response)(RequestFactory().get("/shop/", headers=headers))


def aask(view: Respond) -> Any:
    """The same in an event loop."""

    async def served() -> Any:
        return await ask(view)

    return async_to_sync(served)()


def figures(response: Any) -> tuple[str | None, ...]:
    return tuple(response.headers.get(f"X-Cache-{name}") for name in ("Hits", "Misses", "Sets", "Hit-Rate"))


@pytest.fixture
def everyone() -> Iterator[None]:
    with override_settings(CACHE_ADMIN={"HEADERS_FOR": "everyone"}):
        yield


def test_a_response_tells_what_was_asked(everyone: None) -> None:
    response = ask(work)
    assert figures(response) == ("2", "3", "3", "40.0%")
    assert response["Server-Timing"].startswith("cache;dur=")
    assert response["Server-Timing"].endswith(';desc="2 hits, 3 misses, 3 sets"')
    assert 0 < float(response["Server-Timing"].partition("dur=")[2].partition(";")[0]) < 1000


def test_an_async_response_tells_what_was_asked(everyone: None) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await caches["locmem"].aset("none", None)
        await caches["locmem"].aget("none")
        await caches["locmem"].aget("gone", "default")
        await asyncio.gather(*(caches["locmem"].aget_or_set(f"{i}", lambda: 1) for i in range(5)))
        return await sync_to_async(work)()

    assert figures(aask(view)) == ("3", "9", "9", "25.0%")


def test_a_request_without_look_ups_has_no_rate(everyone: None) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        caches["locmem"].set("a", 1)
        return HttpResponse()

    assert figures(ask(view)) == ("0", "0", "1", None)


def test_timings_of_the_view_stay(everyone: None) -> None:
    response = ask(lambda request: HttpResponse(headers={"Server-Timing": "db;dur=5"}))
    assert response["Server-Timing"].startswith("db;dur=5, cache;dur=0.00;")


@pytest.mark.parametrize(
    ("who", "user", "seen"),
    [
        ("staff", User(is_staff=True), True),
        ("staff", User(is_staff=True, is_active=False), False),
        ("staff", User(), False),
        ("staff", AnonymousUser(), False),
        ("staff", None, False),
        ("everyone", AnonymousUser(), True),
        ("everyone", None, True),
        ("nobody", User(is_staff=True), False),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_headers_are_for_staff_unless_set_otherwise(who: str, user: Any, seen: bool, is_async: bool) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        async def auser() -> Any:
            return user

        if user is not None:
            request.user, request.auser = user, auser
        return work()

    async def aview(request: HttpRequest) -> HttpResponse:
        return view(request)

    with override_settings(CACHE_ADMIN={"HEADERS_FOR": who}):
        response = aask(aview) if is_async else ask(view)
    assert ("X-Cache-Hits" in response, "Server-Timing" in response) == (seen, seen)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_user_that_cannot_be_read_costs_the_headers_only(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Request(HttpRequest):
        @property
        def user(self) -> Any:
            raise DatabaseError("away")

        async def auser(self) -> Any:
            raise DatabaseError("away")

    async def aview(request: HttpRequest) -> HttpResponse:
        return work()

    async def aask() -> Any:
        return await CacheMonitoringMiddleware(aview)(Request())  # type: ignore[misc]

    response = async_to_sync(aask)() if is_async else CacheMonitoringMiddleware(work)(Request())
    assert response.content == b"done"
    assert figures(response) == (None,) * 4
    assert [record.levelname for record in caplog.records if record.name == middleware.__name__] == ["WARNING"]


def test_requests_in_threads_do_not_mix(everyone: None) -> None:
    together = threading.Barrier(8)
    found: dict[int, tuple[str | None, ...]] = {}

    def serve(number: int) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            together.wait(10)
            for i in range(100):
                caches["locmem"].set(f"{number}:{i % 3}", 1)
                for _ in range(number):
                    caches["locmem"].get(f"{number}:{i % 3}")
            return HttpResponse()

        found[number] = figures(ask(view))

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: (f"{number * 100}", "0", "100", "100.0%" if number else None) for number in range(8)}


def test_requests_in_one_event_loop_do_not_mix(everyone: None) -> None:
    async def serve(number: int) -> tuple[str | None, ...]:
        async def view(request: HttpRequest) -> HttpResponse:
            for _ in range(number):
                await caches["locmem"].aget(f"{number}")
                await asyncio.sleep(0)
            return HttpResponse()

        return figures(await ask(view))

    async def all_at_once() -> Any:
        return await asyncio.gather(*(serve(number) for number in range(6)))

    assert async_to_sync(all_at_once)() == [("0", f"{n}", "0", "0.0%" if n else None) for n in range(6)]


def test_nothing_leaks_from_a_request(everyone: None) -> None:
    assert figures(ask(work)) == ("2", "3", "3", "40.0%")
    caches["locmem"].get("between")
    assert figures(ask(lambda request: HttpResponse())) == ("0", "0", "0", None)
    assert middleware._counts.get() is None


def test_a_thread_of_a_request_that_inherits_its_context_counts_with_it(everyone: None) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        def many() -> None:
            for _ in range(500):
                caches["locmem"].get("gone")

        await asyncio.gather(*(sync_to_async(many, thread_sensitive=False)() for _ in range(4)))
        return HttpResponse()

    assert figures(aask(view)) == ("0", "2000", "0", "0.0%")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_request_that_raises_leaks_nothing_and_is_logged(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        work()
        raise ZeroDivisionError

    async def aview(request: HttpRequest) -> HttpResponse:
        return view(request)

    with caplog.at_level(logging.DEBUG, "cache_admin.requests"), pytest.raises(ZeroDivisionError):
        aask(aview) if is_async else ask(view)
    assert middleware._counts.get() is None
    assert caplog.messages[0].startswith("GET /shop/ raised: 2 hits, 3 misses, 3 sets, ")


def test_the_log_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "cache_admin.requests"):
        CacheMonitoringMiddleware(work)(RequestFactory().get("/a%0Ab/?secret=1"))
    (message,) = caplog.messages
    assert message.startswith("GET /a%0Ab/ 200: 2 hits, 3 misses, 3 sets, ")
    assert message.endswith(" ms in caches")


@pytest.mark.django_db
def test_what_a_stream_asks_is_counted_and_logged_at_its_end(everyone: None, caplog: pytest.LogCaptureFixture) -> None:
    def chunks() -> Iterator[str]:
        for number in range(3):
            caches["locmem"].get("gone")
            yield str(number)

    def view(request: HttpRequest) -> StreamingHttpResponse:
        caches["locmem"].set("first", 1)
        return StreamingHttpResponse(chunks())

    with caplog.at_level(logging.DEBUG, "cache_admin.requests"):
        response = ask(view)
        assert figures(response) == ("0", "0", "1", None)
        assert not caplog.messages
        assert b"".join(response) == b"012"
        assert middleware._counts.get() is None
        response.close()
    (message,) = caplog.messages
    assert message.startswith("GET /shop/ 200: 0 hits, 3 misses, 1 sets, ")


@pytest.mark.django_db
def test_what_an_async_stream_asks_is_counted(everyone: None, caplog: pytest.LogCaptureFixture) -> None:
    async def chunks() -> AsyncIterator[str]:
        for number in range(3):
            await caches["locmem"].aget("gone")
            yield str(number)

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks())

    async def whole() -> bytes:
        response = await ask(view)
        assert response.is_async
        body = b"".join([part async for part in response])
        await sync_to_async(response.close)()
        return body

    with caplog.at_level(logging.DEBUG, "cache_admin.requests"):
        assert async_to_sync(whole)() == b"012"
    assert caplog.messages[0].startswith("GET /shop/ 200: 0 hits, 3 misses, 0 sets, ")


@pytest.mark.django_db
def test_a_stream_that_fails_or_is_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def chunks() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    with caplog.at_level(logging.DEBUG, "cache_admin.requests"):
        failing = ask(lambda request: StreamingHttpResponse(chunks()))
        with pytest.raises(ZeroDivisionError):
            list(failing)
        failing.close()
        ask(lambda request: StreamingHttpResponse(chunks())).close()
    assert len(caplog.messages) == 2
    assert middleware._counts.get() is None


@pytest.mark.django_db
def test_a_file_is_still_sent_by_the_server(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    response = ask(lambda request: FileResponse((tmp_path / "a.txt").open("rb")))
    assert response.file_to_stream is not None
    assert b"".join(response) == b"text"
    response.close()


def test_errors_of_a_cache_are_the_views(everyone: None) -> None:
    own = {"own": {"BACKEND": "tests.monitoring.caches_of_own.Failing"}}

    def view(request: HttpRequest) -> HttpResponse:
        caches["locmem"].get("gone")
        with pytest.raises(ConnectionError):
            caches["own"].get("a")
        return HttpResponse()

    with override_settings(CACHES={**settings.CACHES, **own}):
        assert figures(ask(view)) == ("0", "1", "0", "0.0%")


async def _async_view(request: HttpRequest) -> HttpResponse:
    await caches["locmem"].aget("gone")
    return work()


def _failing_view(request: HttpRequest) -> HttpResponse:
    work()
    raise ZeroDivisionError


def _empty_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("work/", work),
    path("async/", _async_view),
    path("failing/", _failing_view),
    path("empty/", _empty_view),
]


@pytest.mark.django_db
class TestInAProject:
    """In the stack of middleware of a real project, sessions in the database."""

    @pytest.fixture(autouse=True)
    def project(self, settings: Any) -> None:
        settings.ROOT_URLCONF = __name__
        settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]

    def test_staff_see_their_own_requests(self, client: Client, admin_user: User) -> None:
        client.force_login(admin_user)
        assert figures(client.get("/work/")) == ("2", "3", "3", "40.0%")
        assert figures(client.get("/async/")) == ("3", "3", "1", "50.0%")
        assert figures(client.get("/empty/")) == ("0", "0", "0", None)

    def test_visitors_see_nothing_and_cost_no_query(self, client: Client, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert figures(client.get("/work/")) == (None,) * 4

    def test_a_failed_request_tells_too(self, client: Client, admin_user: User) -> None:
        client.force_login(admin_user)
        client.raise_request_exception = False
        response = client.get("/failing/")
        assert (response.status_code, figures(response)) == (500, ("2", "3", "3", "40.0%"))

    def test_the_cache_that_holds_sessions_is_counted(self, client: Client, admin_user: User, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        settings.SESSION_CACHE_ALIAS = "locmem"
        client.force_login(admin_user)
        with override_settings(CACHE_ADMIN={"HEADERS_FOR": "everyone"}):
            client.get("/admin/")
        assert figures(client.get("/empty/")) == ("0", "0", "0", None)

    def test_an_async_server_is_served(self, admin_user: User) -> None:
        async def visit() -> list[tuple[str | None, ...]]:
            client = AsyncClient()
            await client.aforce_login(admin_user)
            return [figures(await client.get(f"/{name}/")) for name in ("work", "async", "empty")]

        assert async_to_sync(visit)() == [
            ("2", "3", "3", "40.0%"),
            ("3", "3", "1", "50.0%"),
            ("0", "0", "0", None),
        ]


def test_a_visitor_without_a_session_is_not_asked_who_it_is(rf: RequestFactory) -> None:
    asked: list[str] = []

    def respond(request: HttpRequest) -> HttpResponse:
        request.user = SimpleLazyObject(lambda: asked.append("user") or User(is_staff=True))  # type: ignore[assignment]
        return HttpResponse("page")

    page = CacheMonitoringMiddleware(respond)
    assert "X-Cache-Hits" not in page(rf.get("/")).headers
    assert asked == []
    signed_in = rf.get("/")
    signed_in.COOKIES[settings.SESSION_COOKIE_NAME] = "key"
    assert "X-Cache-Hits" in page(signed_in).headers
    assert "X-Cache-Hits" in page(signed_in).headers  # remembered for a minute
    assert asked == ["user"]

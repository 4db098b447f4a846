from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils.cache import patch_cache_control, patch_vary_headers

from cache_admin.caching import levels
from cache_admin.caching.levels import cache_headers, conditional_figures, conditional_page, database_figures


def ask(view: Any, method: str = "get", **headers: str) -> HttpResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = view(getattr(RequestFactory(), method)("/", headers=names))
    return asyncio.run(response) if asyncio.iscoroutine(response) else response


def says(response: HttpResponse) -> set[str]:
    return set(response.get("Cache-Control", "").replace(" ", "").split(",")) - {""}


def test_browser_and_proxy_are_told_apart():
    response = HttpResponse()
    cache_headers(response, browser=0, proxy=300, stale=60, tags=["product:1", "product:1", "shop"])
    assert says(response) == {
        "public", "max-age=0", "s-maxage=300", "stale-while-revalidate=60", "stale-if-error=60",
    }  # fmt: skip
    assert response["Surrogate-Key"] == "product:1 shop"


@pytest.mark.parametrize(
    "own",
    [
        lambda response: response.set_cookie("a", "b"),
        lambda response: patch_vary_headers(response, ["Cookie"]),
        lambda response: patch_cache_control(response, private=True),
    ],
)
def test_what_is_one_visitors_own_is_for_no_proxy(own):
    response = HttpResponse()
    own(response)
    cache_headers(response, browser=60, proxy=300)
    assert says(response) == {"private", "max-age=60"}


def test_what_says_no_store_stays_so():
    response = HttpResponse(headers={"Cache-Control": "no-store"})
    cache_headers(response, browser=60, proxy=300)
    assert says(response) == {"no-store"}


def test_a_known_version_is_answered_without_calling_the_view():
    calls: list[int] = []

    @conditional_page(etag=lambda request: "v1", browser=60, tags=["shop"])
    def view(request: HttpRequest) -> HttpResponse:
        calls.append(1)
        return HttpResponse("page")

    before = conditional_figures()
    first = ask(view)
    second = ask(view, if_none_match=first["ETag"])
    assert (first.status_code, second.status_code, second.content, len(calls)) == (200, 304, b"", 1)
    assert first["ETag"] == second["ETag"] == '"v1"'
    assert says(second) == says(first) == {"max-age=60"}
    assert second["Surrogate-Key"] == "shop"
    after = conditional_figures()
    assert (after.answered - before.answered, after.not_modified - before.not_modified) == (2, 1)
    assert ask(view, if_none_match='"v0"').status_code == 200


def test_a_date_is_a_version_too():
    changed = datetime(2030, 1, 1, tzinfo=UTC)
    view = conditional_page(last_modified=lambda request: changed)(lambda request: HttpResponse("page"))
    first = ask(view)
    assert first["Last-Modified"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    assert ask(view, if_modified_since=first["Last-Modified"]).status_code == 304
    assert ask(view, if_modified_since="Mon, 31 Dec 2029 00:00:00 GMT").status_code == 200


def test_without_a_version_the_content_is_hashed():
    view = conditional_page()(lambda request: HttpResponse("page"))
    first = ask(view)
    assert ask(view, if_none_match=first["ETag"]).status_code == 304
    assert says(first) == {"max-age=0"}


def test_a_template_response_is_judged_when_it_is_rendered():
    template = engines["django"].from_string("page")
    view = conditional_page()(lambda request: TemplateResponse(request, template))
    first = ask(view).render()
    second = ask(view, if_none_match=first["ETag"])
    assert second.render().status_code == 304


@pytest.mark.parametrize("status", [404, 500, 302])
def test_errors_and_redirects_get_no_headers(status: int):
    view = conditional_page(proxy=60, tags=["a"])(lambda request: HttpResponse(status=status))
    assert not {"ETag", "Cache-Control", "Surrogate-Key"} & set(ask(view).headers)


def test_a_post_is_left_alone():
    view = conditional_page(etag=lambda request: "v1")(lambda request: HttpResponse("done"))
    response = ask(view, "post", if_none_match='"v1"')
    assert (response.status_code, response.has_header("ETag")) == (200, False)


def test_async_views_are_conditional():
    @conditional_page(etag=lambda request: "v1", tags=lambda request: ["a"])
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    assert ask(view)["Surrogate-Key"] == "a"
    assert ask(view, if_none_match='"v1"').status_code == 304


@pytest.mark.django_db
@pytest.mark.sqlite
def test_a_database_that_tells_nothing_says_so():
    told = database_figures()
    assert (told.vendor, told.hits, told.reads) == ("SQLite", None, None)
    assert told.note


class FakeConnection:
    """Stands in for servers that are not on every machine; answers as their documentation says."""

    def __init__(self, vendor: str, rows: list[tuple[Any, ...]] | None) -> None:
        self.vendor, self.display_name, self._rows = vendor, vendor, rows

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *error: object) -> None: ...

    def execute(self, query: str) -> None:
        if self._rows is None:
            raise DatabaseError("denied")

    def fetchall(self) -> Any:
        return self._rows


@pytest.mark.parametrize(
    ("vendor", "rows", "hits", "reads"),
    [
        ("postgresql", [(900, 100)], 900, 100),
        ("mysql", [("Innodb_buffer_pool_read_requests", "1000"), ("Innodb_buffer_pool_reads", "100")], 900, 100),
        ("postgresql", None, None, None),
    ],
)
def test_servers_tell_their_page_cache(monkeypatch, vendor, rows, hits, reads):
    monkeypatch.setattr(levels, "connections", {"default": FakeConnection(vendor, rows)})
    told = database_figures()
    assert (told.hits, told.reads, bool(told.note)) == (hits, reads, rows is None)

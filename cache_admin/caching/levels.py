"""Caches outside the application: what the browser and the proxies in front of the site are told to keep.

The database behind it has one as well; :func:`database_figures` tells what can be known of it.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.cache import get_conditional_response, has_vary_header, patch_cache_control, set_response_etag
from django.utils.http import http_date, quote_etag
from django.utils.translation import gettext as _

View = TypeVar("View", bound=Callable[..., Any])
#: What CDNs read tags from; Varnish's xkey module reads ``xkey``.
SURROGATE_KEY = "Surrogate-Key"


@dataclass(frozen=True, slots=True)
class ConditionalFigures:
    """Responses of :func:`conditional_page` in this process: all of them, and those that were an empty 304."""

    answered: int = 0
    not_modified: int = 0


_figures = ConditionalFigures()
_lock = threading.Lock()


def conditional_figures() -> ConditionalFigures:
    """How often browsers and proxies could keep what they had, in this process."""
    return _figures


def all_figures() -> dict[str, dict[str, Any]]:
    """The same, by the name of the decorator."""
    return {conditional_page.__name__: asdict(_figures)}


def cache_headers(
    response: HttpResponseBase,
    *,
    browser: int | None = None,
    proxy: int | None = None,
    stale: int = 0,
    tags: Iterable[str] = (),
    tag_header: str = SURROGATE_KEY,
) -> None:
    """Says for how many seconds browsers and proxies may keep a response.

    ``browser`` is ``max-age``, 0 for "ask every time"; ``proxy`` is ``s-maxage``; for ``stale`` seconds more, either
    may show it while it asks again or the site fails. ``tags`` are surrogate keys, so that invalidation rules with
    these tags purge it from proxies. A response that sets a cookie, varies on cookies or says ``private`` or
    ``no-store`` is one visitor's own: no proxy is told to keep it, whatever ``proxy`` says.
    """
    own = _is_of_one_visitor(response)
    says: dict[str, Any] = {"private": True} if own else {"public": True} if proxy else {}
    if browser is not None:
        says["max_age"] = browser
    if proxy is not None and not own:
        says["s_maxage"] = proxy
    if stale:
        says |= {"stale_while_revalidate": stale, "stale_if_error": stale}
    if says and "no-store" not in response.get("Cache-Control", ""):
        patch_cache_control(response, **says)
    if names := [tag for tag in dict.fromkeys(tags) if tag]:
        response[tag_header] = " ".join(names)


def _is_of_one_visitor(response: HttpResponseBase) -> bool:
    says = response.get("Cache-Control", "").lower()
    return bool(response.cookies) or has_vary_header(response, "Cookie") or "private" in says or "no-store" in says


def conditional_page(
    *,
    etag: Callable[..., str | None] | None = None,
    last_modified: Callable[..., Any] | None = None,
    browser: int | None = 0,
    proxy: int | None = None,
    stale: int = 0,
    tags: Callable[..., Iterable[str]] | Iterable[str] = (),
) -> Callable[[View], View]:
    """Decorator of a view, sync or async: answers 304 without a body where the visitor has the page already.

    ``etag`` and ``last_modified`` get the arguments of the view and tell its version (a string; a ``datetime``); where
    that matches, the view is not called at all. Without them the version is a hash of the content, which saves the wire
    only. The rest is said in headers as by :func:`cache_headers`; ``tags`` may be a function of the view's arguments.
    Functions given to an async view are called in its event loop and must not use the database. Who may see the page is
    to be decided before, by a decorator above this one.
    """

    def decorate(view: View) -> View:
        def known(request: HttpRequest, args: Any, kwargs: Any) -> tuple[_Page, HttpResponseBase | None]:
            page = _Page(request, browser, proxy, stale)
            if request.method in ("GET", "HEAD"):
                version = etag(request, *args, **kwargs) if etag else None
                changed = last_modified(request, *args, **kwargs) if last_modified else None
                page.etag = quote_etag(version) if version else None
                page.changed = int(changed.timestamp()) if changed else None
                page.tags = list(tags(request, *args, **kwargs) if callable(tags) else tags)
            return page, page.unchanged()

        if iscoroutinefunction(view):

            @wraps(view)
            async def aview(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                page, unchanged = known(request, args, kwargs)
                if unchanged is not None:
                    return unchanged
                return page.finish(await cast("Awaitable[HttpResponseBase]", view(request, *args, **kwargs)))

            return cast("View", aview)

        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            page, unchanged = known(request, args, kwargs)
            return unchanged if unchanged is not None else page.finish(view(request, *args, **kwargs))

        return cast("View", wrapped)

    return decorate


class _Page:
    """One request to a decorated view."""

    def __init__(self, request: HttpRequest, browser: int | None, proxy: int | None, stale: int) -> None:
        self._request = request
        self._browser, self._proxy, self._stale = browser, proxy, stale
        self.etag: str | None = None
        self.changed: int | None = None
        self.tags: list[str] = []

    def unchanged(self) -> HttpResponseBase | None:
        """The 304 for a visitor who has this version already."""
        if self.etag is None and self.changed is None:
            return None
        found = get_conditional_response(self._request, etag=self.etag, last_modified=self.changed)
        if found is None:
            return None
        self._say(found)
        _count(found)
        return found

    def finish(self, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
            response.add_post_render_callback(self.finish)
            return response
        if self._request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        self._say(response)
        answer = response
        if isinstance(response, HttpResponse):
            if not response.has_header("ETag"):
                set_response_etag(response)
            version = response.get("ETag")
            answer = get_conditional_response(self._request, version, self.changed, response) or response
        _count(answer)
        return answer

    def _say(self, response: HttpResponseBase) -> None:
        if self.etag and not response.has_header("ETag"):
            response["ETag"] = self.etag
        if self.changed is not None and not response.has_header("Last-Modified"):
            response["Last-Modified"] = http_date(self.changed)
        cache_headers(response, browser=self._browser, proxy=self._proxy, stale=self._stale, tags=self.tags)


def _count(response: HttpResponseBase) -> None:
    global _figures
    with _lock:
        same = response.status_code == 304
        _figures = ConditionalFigures(_figures.answered + 1, _figures.not_modified + same)


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """The page cache of a database: look-ups answered from memory (``hits``) and from disk (``reads``) since its
    counters began, ``None`` where it does not tell. ``note`` is a translated sentence."""

    vendor: str
    hits: int | None = None
    reads: int | None = None
    note: str = ""


_QUERIES = {
    "postgresql": "SELECT blks_hit, blks_read FROM pg_stat_database WHERE datname = current_database()",
    "mysql": "SHOW GLOBAL STATUS WHERE Variable_name IN "
    "('Innodb_buffer_pool_read_requests', 'Innodb_buffer_pool_reads')",
}


def database_figures(using: str = DEFAULT_DB_ALIAS) -> DatabaseFigures:
    """One reading of a database's own counters; one small query, none where it would tell nothing."""
    connection = connections[using]
    name, query = connection.display_name, _QUERIES.get(connection.vendor)
    if query is None:
        return DatabaseFigures(name, note=_("This database does not tell how often its page cache is hit."))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            rows = cursor.fetchall()
    except Error:
        return DatabaseFigures(name, note=_("The counters of the database are not readable for its user."))
    if connection.vendor == "mysql":
        # requests counts all look-ups, reads those that went to disk
        found = {row[0].lower(): int(row[1]) for row in rows}
        reads = found.get("innodb_buffer_pool_reads", 0)
        return DatabaseFigures(name, found.get("innodb_buffer_pool_read_requests", 0) - reads, reads)
    return DatabaseFigures(name, int(rows[0][0]), int(rows[0][1])) if rows else DatabaseFigures(name)

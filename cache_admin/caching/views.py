"""``cache_per_user``: whole responses of a view, kept for each signed-in user.

Keys are made by ``django.utils.cache``, under a prefix that names the user, so host, scheme, path, the query string as
it was sent, language, time zone and the headers that the response varies on are in them, and
:func:`~cache_admin.caching.pages.invalidate_page` finds them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from hashlib import sha256
from typing import Any, TypeVar, cast
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.cache import BaseCache, caches
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import Resolver404, resolve
from django.utils.cache import get_cache_key, has_vary_header, learn_cache_key, patch_cache_control

Response = TypeVar("Response", bound=HttpResponseBase | None)
View = TypeVar("View", bound=Callable[..., Any])
_KEPT_BY_NOBODY = ("private", "no-cache", "no-store")
#: A longer primary key of a user stands in the prefix as its hash: memcached takes 250 bytes.
_LONGEST_PK = 64


def user_prefix(pk: object, key_prefix: str = "") -> str:
    """The key prefix under which the pages of one user are kept, e.g. ``user:5`` or ``user:5:shop``."""
    name = quote(str(pk), safe="")
    if len(name) > _LONGEST_PK:
        name = sha256(name.encode()).hexdigest()[:32]
    return f"user:{name}:{key_prefix}" if key_prefix else f"user:{name}"


def cache_per_user(timeout: float, *, alias: str | None = None, key_prefix: str = "") -> Callable[[View], View]:
    """Decorator of a view, sync or async: keeps its responses for ``timeout`` seconds, for each user apart.

    Only GET and HEAD of signed-in users, and only responses with status 200 that are whole, set no cookie (the CSRF and
    session cookies included), show no message of the messages framework, and do not say ``private``, ``no-cache``,
    ``no-store`` or ``Vary: *`` themselves. Everybody else gets the view as if it were not decorated. ``alias`` is
    ``CACHE_MIDDLEWARE_ALIAS`` by default. What leaves is marked ``private``, so that no proxy keeps it for others.
    """

    def decorate(view: View) -> View:
        if _is_async(view):

            @wraps(view)
            async def aview(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
                visit = _Visit(request, timeout, alias, key_prefix)
                if not await visit.amay_be_kept():
                    return await cast("Awaitable[HttpResponseBase]", view(request, *args, **kwargs))
                if (kept := await sync_to_async(visit.look_up)()) is not None:
                    return kept
                response = await cast("Awaitable[HttpResponseBase]", view(request, *args, **kwargs))
                return await sync_to_async(visit.keep)(response)

            return _known(cast("View", aview))

        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            visit = _Visit(request, timeout, alias, key_prefix)
            if not visit.may_be_kept():
                return cast("HttpResponseBase", view(request, *args, **kwargs))
            if (kept := visit.look_up()) is not None:
                return kept
            return visit.keep(view(request, *args, **kwargs))

        return _known(cast("View", wrapped))

    return decorate


def _known(view: View) -> View:
    # Django's decorators and ``as_view`` hand the attributes of a view on to what they put around it.
    view.cache_admin_per_user = True  # type: ignore[attr-defined]
    return view


def is_per_user(path: str) -> bool:
    """Whether the view that answers a path is one of :func:`cache_per_user`."""
    try:
        return getattr(resolve(path).func, "cache_admin_per_user", False)
    except Resolver404:
        return False


def _is_async(view: Any) -> bool:
    """A coroutine function, or the ``dispatch`` of a class whose handlers are."""
    instance = getattr(getattr(view, "func", view), "__self__", None)
    return iscoroutinefunction(view) or getattr(instance, "view_is_async", False)


class _Visit:
    """One request to a decorated view."""

    def __init__(self, request: HttpRequest, timeout: float, alias: str | None, key_prefix: str) -> None:
        self._request = request
        self._timeout = int(timeout)
        self._alias = alias
        self._name = key_prefix
        self._prefix = ""

    @property
    def _cache(self) -> BaseCache:
        return caches[self._alias or settings.CACHE_MIDDLEWARE_ALIAS]

    def may_be_kept(self) -> bool:
        return self._is_of(getattr(self._request, "user", None))

    async def amay_be_kept(self) -> bool:
        ask = getattr(self._request, "auser", None)
        return self._is_of(await ask() if ask else getattr(self._request, "user", None))

    def _is_of(self, user: Any) -> bool:
        if self._request.method not in ("GET", "HEAD") or not getattr(user, "is_authenticated", False):
            return False
        self._prefix = user_prefix(user.pk, self._name)
        return True

    def look_up(self) -> HttpResponseBase | None:
        method = cast("str", self._request.method)
        key = get_cache_key(self._request, self._prefix, method, cache=self._cache)
        return _marked(self._cache.get(key)) if key else None

    def keep(self, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
            # Middleware may still change its context, and rendering may set a cookie: judged when that is over.
            response.add_post_render_callback(self._store)
            return response
        return self._store(response)

    def _store(self, response: HttpResponseBase) -> HttpResponseBase:
        if self._may_store(response):
            key = learn_cache_key(self._request, response, self._timeout, self._prefix, cache=self._cache)
            self._cache.set(key, response, self._timeout)
        return _marked(response)

    def _may_store(self, response: HttpResponseBase) -> bool:
        if response.status_code != 200 or response.streaming or response.cookies or has_vary_header(response, "*"):
            return False
        if self._sets_a_cookie_later() or getattr(getattr(self._request, "_messages", None), "used", False):
            return False
        says = response.get("Cache-Control", "").lower()
        return not any(word in says for word in _KEPT_BY_NOBODY)

    def _sets_a_cookie_later(self) -> bool:
        """A form with a CSRF token fits one browser's cookie only; a view that wrote to the session did more than
        answer."""
        session = getattr(self._request, "session", None)
        return bool(self._request.META.get("CSRF_COOKIE_NEEDS_UPDATE")) or getattr(session, "modified", False)


def _marked(response: Response) -> Response:
    if response is not None and "public" not in response.get("Cache-Control", "").lower():
        patch_cache_control(response, private=True)
    return response

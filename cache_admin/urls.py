"""The route table. Every view is wrapped once, here: signed-in staff of this admin site, or to its login."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, register_converter, reverse
from django.urls.converters import StringConverter
from django_htmx.http import HttpResponseClientRedirect

from cache_admin.views import routes
from cache_admin.views.base import CacheView, is_fragment_request

PREFIX = "cache_admin_"


class AliasConverter:
    """An alias as one segment of a path: a slash in it is escaped, and so is a name that browsers would resolve."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return unquote(value) if value.strip("%.") else value.removeprefix("%")

    def to_url(self, value: str) -> str:
        escaped = value.replace("%", "%25").replace("/", "%2F")
        return escaped if escaped.strip(".") else f"%{escaped}"


class FormatConverter(StringConverter):
    """How a table is exported."""

    regex = "csv|json"


register_converter(AliasConverter, "cache_alias")
register_converter(FormatConverter, "cache_format")


def patterns(site: AdminSite) -> list[URLPattern]:
    """The URL patterns of the dashboard on one admin site."""
    return [path(route, _guarded(site, view), name=PREFIX + name) for route, view, name in routes.ROUTES]


def _guarded(site: AdminSite, view_class: type[CacheView]) -> Callable[..., HttpResponseBase]:
    view = view_class.as_view(site=site)
    admin_view: Callable[..., HttpResponseBase] = site.admin_view(view)

    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fragment_request(request) and not site.has_permission(request):
            return _page_to_login(request, site)
        return admin_view(request, *args, **kwargs)

    # site.admin_view marks the view (never_cache, csrf_protect); the marks must stay on the outer function.
    outer = update_wrapper(inner, admin_view)
    for database in settings.DATABASES:
        # Under ATOMIC_REQUESTS the record of a change would be written after it, or never.
        outer = transaction.non_atomic_requests(using=database)(outer)
    return outer


def _page_to_login(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Sends the browser, not the card, to the login, and back to the page it was on."""
    current = urlsplit(request.headers.get("HX-Current-URL", "")).path
    login = reverse(f"{site.name}:login")
    return HttpResponseClientRedirect(f"{login}?{urlencode({'next': current})}" if current else login)

"""``invalidate_page``: the entries that ``cache_page``, the cache middleware and ``cache_per_user`` keep for one URL.

Django's own ``get_cache_key`` makes every key here: it is asked with marks in place of prefix, method, language and
time zone, and with a stand-in for the cache that learns the name of the header entry. So nothing depends on how a
version of Django hashes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from zoneinfo import available_timezones

from asgiref.sync import sync_to_async
from django.conf import global_settings, settings
from django.core.cache import BaseCache, caches
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_cache_key
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cache_admin.bookkeeping import unwatched
from cache_admin.caching.patterns import can_list, delete_matching
from cache_admin.caching.views import is_per_user, user_prefix
from cache_admin.exceptions import Unsupported
from cache_admin.keys import escape_glob

_PREFIX, _METHOD, _LANGUAGE, _ZONE = "<prefix>", "<method>", "<language>", "<zone>"
_METHODS = ("GET", "HEAD")
_BATCH = 1_000
#: Header entries to ask for where a cache cannot list its keys.
_MOST_KEYS = 300_000


class _Request(HttpRequest):
    """A GET for one absolute URL, as the cache middleware would see it."""

    def __init__(self, place: Place, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.method, self.path, self.path_info = "GET", place.path, place.path
        self.LANGUAGE_CODE = _LANGUAGE
        self.META["QUERY_STRING"] = place.query
        self.META.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()})
        self._place = place

    def _get_scheme(self) -> str:
        return self._place.scheme

    def get_host(self) -> str:
        return self._place.host


class _Answer:
    """Stands in for the cache inside ``get_cache_key``: gives a header list and learns the key it was asked under."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._headers = headers
        self.asked = ""

    def get(self, key: str) -> Sequence[str]:
        self.asked = key
        return self._headers


@dataclass(frozen=True, slots=True)
class Place:
    """One URL, taken apart: the path is decoded, the query string is as it was sent."""

    scheme: str
    host: str
    path: str
    query: str

    def shapes(self, names: Sequence[str], headers: Mapping[str, str]) -> tuple[str, str]:
        """The user keys of the header entry and of the page, with marks in them. ``names`` are those of ``META``."""
        answer = _Answer(names)
        with timezone.override(datetime.timezone(datetime.timedelta(0), _ZONE)):
            page = get_cache_key(_Request(self, headers), _PREFIX, _METHOD, cache=cast("BaseCache", answer))
        return answer.asked, cast("str", page)

    def globs(self, prefix: str | None) -> list[str]:
        """Globs of the user keys of all its entries; ``prefix`` None stands for every prefix."""
        header, bare = self.shapes([], {})
        _same, varied = self.shapes(["HTTP_X_ANY"], {"X-Any": "any"})
        parts = zip(bare.split("."), varied.split("."), strict=True)
        page = ".".join(one if one == other else "*" for one, other in parts)
        return [_glob(header, prefix), _glob(page, prefix)]


def _glob(shape: str, prefix: str | None) -> str:
    for mark in (_METHOD, _LANGUAGE, _ZONE):
        shape = shape.replace(mark, "*")
    return shape.replace(_PREFIX, "*" if prefix is None else escape_glob(prefix.encode()).decode())


def invalidate_page(
    page: str | Callable[..., Any],
    *args: object,
    alias: str | None = None,
    key_prefix: str | None = None,
    user: Any = None,
    request: HttpRequest | None = None,
    headers: Sequence[Mapping[str, str]] | None = None,
    **kwargs: object,
) -> int:
    """Removes what the cache middleware, ``cache_page`` and ``cache_per_user`` keep for one URL; returns how many
    entries, pages and header entries alike.

    ``page`` is an absolute URL, a path with its query string, or a view or its name with ``args`` and ``kwargs`` as
    for ``reverse``. The host of a mere path is that of ``request``, else the hosts named in ``ALLOWED_HOSTS`` are
    meant. Both schemes, GET and HEAD, all languages and time zones go. ``key_prefix`` or ``user`` narrow it to one
    prefix or to the pages of one user.

    Where keys can be listed everything is found, in one pass over the keyspace. Elsewhere a prefix has to be given
    unless it is ``CACHE_MIDDLEWARE_KEY_PREFIX`` or empty, the user for views of ``cache_per_user``, and for pages that
    vary on headers the values to try, as ``headers=[{"Accept-Encoding": "gzip"}, {}]``; without them
    :class:`~cache_admin.exceptions.Unsupported` tells afterwards what may be left. Raises ``ValueError`` when the host
    is unknown, ``NoReverseMatch`` as ``reverse``.
    """
    name = alias or settings.CACHE_MIDDLEWARE_ALIAS
    prefix = user_prefix(user.pk, key_prefix or "") if user is not None else key_prefix
    found = places(page, *args, request=request, **kwargs)
    if can_list(name):
        return delete_matching(name, [glob for place in found for glob in place.globs(prefix)])
    prefixes = [prefix] if prefix is not None else ["", settings.CACHE_MIDDLEWARE_KEY_PREFIX]
    exact = _Exact(name, prefixes, headers)
    removed = sum([exact.remove(place) for place in found])
    if prefix is None and any(is_per_user(place.path) for place in found):
        raise Unsupported(exact.left_of_users(removed))
    return removed


async def ainvalidate_page(page: str | Callable[..., Any], *args: object, **kwargs: Any) -> int:
    """Async twin of :func:`invalidate_page`."""
    return await sync_to_async(invalidate_page)(page, *args, **kwargs)


def places(
    page: str | Callable[..., Any], *args: object, request: HttpRequest | None = None, **kwargs: object
) -> list[Place]:
    """The URLs that :func:`invalidate_page` means by its arguments."""
    plain = isinstance(page, str) and "/" in page
    url = str(page) if plain else reverse(page, args=args or None, kwargs=kwargs or None)
    parts = urlsplit(url)
    hosts = [parts.netloc] if parts.netloc else [request.get_host()] if request else _known_hosts()
    path = unquote(parts.path) or "/"
    return [Place(scheme, host, path, parts.query) for host in hosts for scheme in ("http", "https")]


def _known_hosts() -> list[str]:
    hosts = [host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*"))]
    if not hosts:
        text = _("ALLOWED_HOSTS names no host: pass an absolute URL, or request= to take the host of a request.")
        raise ValueError(text)
    return hosts


class _Exact:
    """The same without listing: the header entry of every language, time zone and prefix is asked for."""

    def __init__(self, alias: str, prefixes: Iterable[str], headers: Sequence[Mapping[str, str]] | None) -> None:
        self._alias = alias
        self._cache = caches[alias]
        self._headers = headers
        zones = {*available_timezones(), settings.TIME_ZONE, timezone.get_current_timezone_name()}
        self._fillings = list(product(dict.fromkeys(prefixes), _languages(), zones))
        if len(self._fillings) > _MOST_KEYS:
            raise Unsupported(self._text(_("has too many languages and time zones to try them all")))

    def remove(self, place: Place) -> int:
        header, _page = place.shapes([], {})
        asked = iter({_fill(header, filling): filling for filling in self._fillings}.items())
        removed, left = 0, set()
        while batch := dict(islice(asked, _BATCH)):
            # Thousands of guesses, no look-ups of the application.
            for key, names in unwatched(self._cache).get_many(batch).items():
                for variant in self._headers or [{}]:
                    shape = place.shapes(names, variant)[1]
                    pages = [_fill(shape, batch[key]).replace(_METHOD, method) for method in _METHODS]
                    removed += sum([bool(self._cache.delete(page)) for page in pages])
                removed += bool(self._cache.delete(key))
                if self._headers is None:
                    left.update(names)
        if left:
            raise Unsupported(self._left(left, removed))
        return removed

    def _left(self, names: set[str], removed: int) -> str:
        words = ", ".join(sorted(name.removeprefix("HTTP_").replace("_", "-").title() for name in names))
        text = _(
            "cannot list its keys: %(removed)d entries went, but versions of the page for other values of %(headers)s "
            "may come back. Pass the values as headers="
        )
        return self._text(text % {"removed": removed, "headers": words})

    def left_of_users(self, removed: int) -> str:
        text = _(
            "cannot list its keys: %(removed)d entries went, but pages of single users may be left. Pass the user as "
            "user="
        )
        return self._text(text % {"removed": removed})

    def _text(self, what: str) -> str:
        return f"{self._alias}: {_('this cache')} {what}."


def _languages() -> set[str]:
    """Languages that a page may be kept in: those of the site, or where it never chose any (Django's own list has a
    hundred) and no middleware chooses, the default and the active one."""
    chosen = settings.LANGUAGES != global_settings.LANGUAGES or any("Locale" in name for name in settings.MIDDLEWARE)
    offered = {code for code, _name in settings.LANGUAGES} if chosen else set()
    return {*offered, settings.LANGUAGE_CODE, str(get_language()), "None"}


def _fill(shape: str, filling: tuple[str, str, str]) -> str:
    for mark, value in zip((_PREFIX, _LANGUAGE, _ZONE), filling, strict=True):
        shape = shape.replace(mark, value)
    return shape

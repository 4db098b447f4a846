"""One name looked for in all caches: each alias answers by itself, within a small budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin import keys
from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import browse
from cache_admin.views.base import CacheView
from cache_admin.views.naming import Name, name_of
from cache_admin.views.overview import each_alias

BUDGET = 0.3  #: seconds of listing per alias
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What one alias knows of a name."""

    exact: bool | None  #: None: ``q`` is a pattern
    token: str = ""  #: of the exact key, where there is a page that shows it
    listing: browse.Listing | None = None  #: None: this kind of cache cannot list
    names: tuple[Name, ...] = ()


class Find(CacheView):
    """The page: the question, and a place for the answer of every alias."""

    template_name = "cache_admin/find.html"
    title = gettext_lazy("Find in all caches")
    tab = "find"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.render({"q": request.GET.get("q", "").strip(), "rows": each_alias()})


class FindIn(CacheView):
    """The answer of one alias."""

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        q = request.GET.get("q", "").strip()
        context: dict[str, Any] = {"q": q}
        try:
            context["found"] = look(self.cache, q)
        except CacheAdminError as error:
            context["error"] = about(error)
        return self.render(context, template="cache_admin/_found.html")


def look(adapter: Adapter, q: str) -> Found:
    """The exact key where ``q`` has no wildcard, then keys that match or contain it, until the budget ends.

    Raises :class:`InvalidPattern` and whatever the adapter raises.
    """
    wild = any(char in q for char in "*?[")
    pattern = keys.normalise_glob(q if wild else f"*{keys.escape_glob(q.encode()).decode()}*")
    exact = None if wild else adapter.exists(q)
    token = name_of(adapter, adapter.codec.raw(q)).token if exact and adapter.can_inspect else ""
    if not adapter.can_list:
        return Found(exact, token)
    glob = adapter.codec.glob(pattern)
    listing = browse.browse(adapter, glob, keys.compile_glob(glob), browse.Place(), limit=SHOWN, budget=BUDGET)
    return Found(exact, token, listing, tuple(name_of(adapter, listed.key) for listed in listing.keys))

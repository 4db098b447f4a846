"""Tables behind a URL: sorting by column header, pages, and links that keep everything else in the query string."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Header:
    """One column head. ``link`` sorts by it, ``direction`` is its ``aria-sort`` value, "" while another one sorts."""

    label: StrOrPromise
    link: str
    direction: str
    css: str


def query(request: HttpRequest, **changes: str | None) -> str:
    """The query string of this page with ``changes``, ``None`` removing a name: ``"?q=user&sort=-size"``."""
    params = request.GET.copy()
    for name, value in changes.items():
        if value is None:
            params.pop(name, None)
        else:
            params[name] = value
    return f"?{params.urlencode()}"


def page_of(items: Any, request: HttpRequest) -> Page[Any]:
    """The page that ``?page=`` asks for; anything that is no page number there gives the nearest one."""
    return Paginator(items, PER_PAGE).get_page(request.GET.get("page"))


def headers(request: HttpRequest, columns: Sequence[tuple[str, StrOrPromise, str]], sort: str) -> list[Header]:
    """Heads of ``columns`` (name, label, css classes); a column without name does not sort. ``sort`` is "-" + name
    for descending."""
    made = []
    for name, label, css in columns:
        active = bool(name) and sort.lstrip("-") == name
        direction = ("descending" if sort.startswith("-") else "ascending") if active else ""
        # Figures are asked for largest first; names and a second click on figures the other way.
        following = name if direction == "descending" or (name == "pattern" and not active) else f"-{name}"
        made.append(Header(label, query(request, sort=following, page=None) if name else "", direction, css))
    return made

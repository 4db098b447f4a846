"""What a card is, where cards are found, and how one fails alone.

A new card is a module here with a :class:`Panel` subclass under :func:`register`, and
``templates/cache_admin/panels/<module>.html``. Host projects register theirs from modules of their own.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.exceptions import CacheAdminError, Unavailable
from cache_admin.monitoring.database import REFUSALS, refused
from cache_admin.registry import Registry

logger = logging.getLogger(__name__)

panels: Registry[Panel] = Registry("panel")
P = TypeVar("P", bound="Panel")


class Panel:
    """One card. Stateless; ``context`` answers for one alias and knows nothing of requests or users."""

    title: ClassVar[Any] = ""
    #: Where it stands: among the cards of an alias, in the head of its pages, or as its row of the overview.
    place: ClassVar[Literal["dashboard", "head", "overview"]] = "dashboard"
    #: Order among the cards of one place, lowest first.
    position: ClassVar[int] = 100
    #: Asked again at every refresh; False for what does not change in seconds or costs more than one reading.
    live: ClassVar[bool] = True
    #: Columns it takes where there are as many.
    columns: ClassVar[Literal["1", "2"]] = "1"
    #: Capability flag of the adapter without which the card is shown disabled; "" for none.
    requires: ClassVar[str] = ""
    #: Codename without which the card is left out.
    permission: ClassVar[str] = "view_cache"
    #: Name of the page that the title links to, "" for none.
    link: ClassVar[str] = ""

    @property
    def slug(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    @property
    def template(self) -> str:
        return f"cache_admin/panels/{self.slug}.html"

    def context(self, adapter: Adapter) -> dict[str, Any]:
        """What the template needs. ``stale`` in it is a sentence: why these figures are not of now.

        Raises this package's errors, which the card then shows.
        """
        raise NotImplementedError


def register(panel_class: type[P]) -> type[P]:
    """Class decorator: adds the card to those of its place."""
    panel = panel_class()
    panels.register(panel.slug, panel)
    return panel_class


@cache
def discover() -> None:
    """Imports every module beside this one, once; each registers its card."""
    package = importlib.import_module("cache_admin.panels")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def all_panels(place: str = "dashboard") -> list[Panel]:
    """The cards of one place, in order."""
    discover()
    return sorted((panel for panel in panels if panel.place == place), key=lambda panel: panel.position)


@dataclass(frozen=True, slots=True)
class Card:
    """What one card shows now: its figures, its last figures with the reason why they are old, or only a reason."""

    context: dict[str, Any] | None = None
    stale: str = ""
    error: str = ""
    silent: bool = False  #: the error is that the server does not answer


_REASONS = {
    "can_tell_server": gettext_lazy("This kind of cache has no server that counts."),
    "can_list": gettext_lazy("This kind of cache cannot list its keys."),
    "can_measure": gettext_lazy("This kind of cache cannot measure its keys."),
}

#: The last good context per (slug, alias) of this process, for when the server is gone.
_snapshots: dict[tuple[str, str], dict[str, Any]] = {}


def why_disabled(panel: Panel, adapter: Adapter) -> str:
    """Why this kind of cache cannot have the card, or "". Asks no server."""
    if not panel.requires or getattr(adapter, panel.requires):
        return ""
    return str(_REASONS[panel.requires])


def card(panel: Panel, adapter: Adapter) -> Card:
    """Asks a panel; what a cache cannot or will not say becomes words in its card."""
    if reason := why_disabled(panel, adapter):
        return Card(error=reason)
    known_as = (panel.slug, adapter.alias)
    try:
        context = panel.context(adapter)
    except Unavailable as error:
        last = _snapshots.get(known_as)
        return Card(last, stale=about(error)) if last else Card(error=about(error), silent=True)
    except CacheAdminError as error:
        return Card(error=about(error))
    except REFUSALS as error:
        return Card(error=_("Not known: %(why)s") % {"why": refused(error)})
    _snapshots[known_as] = context
    return Card(context, stale=context.get("stale", ""))


def drawn(panel: Panel, adapter: Adapter, draw: Callable[[Card], str]) -> str:
    """One card as text. Whatever fails in its code or in its template is logged and stays inside it."""
    try:
        return draw(card(panel, adapter))
    except Exception:
        logger.exception("The card %s of %s failed.", panel.slug, adapter.alias)
        return draw(Card(error=_("This card failed. The log of the web server says why; the other cards still work.")))

"""What all pages share: permission, alias, context. A view file adds a template and its own context."""

from __future__ import annotations

import logging
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin import site as default_site
from django.core.exceptions import PermissionDenied
from django.db import ProgrammingError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import View
from django_htmx.middleware import HtmxDetails

from cache_admin import conf
from cache_admin.adapters import adapter, aliases
from cache_admin.adapters.base import Adapter
from cache_admin.exceptions import CacheAdminError, UnknownAlias
from cache_admin.models import Cache
from cache_admin.monitoring.database import AWAY
from cache_admin.views.tabs import LISTED, TABS, WHEN

log = logging.getLogger(__name__)

#: Codenames of all permissions of this package.
PERMISSIONS = tuple(codename for codename, _name in Cache._meta.permissions)


def is_fragment_request(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page. Works without the middleware of django-htmx."""
    details = HtmxDetails(request)
    return bool(details) and not details.boosted and not details.history_restore_request


class BrokenAlias(CacheAdminError):
    """An alias whose backend cannot be loaded."""


class CacheView(View):
    """A page or fragment of the dashboard on one admin site.

    ``kwargs["alias"]``, where the route has it, becomes ``self.adapter``. A subclass names ``permission``
    (codename), its ``template_name`` and, for a page that refreshes, the ``fragment_name`` that the page includes and
    htmx gets alone.
    """

    site: AdminSite = default_site  # as_view(site=...) gives the one it is mounted on
    permission: ClassVar[str] = "view_cache"
    template_name: ClassVar[str] = ""
    fragment_name: ClassVar[str] = ""
    tab: ClassVar[str] = ""
    title: ClassVar[Any] = gettext_lazy("Caches")
    adapter: Adapter | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answers the request. A refusal, an alias that cannot be loaded and a failing database are pages in words."""
        try:
            self.prepare(**kwargs)
            response = super().dispatch(request, *args, **kwargs)
            # Templates ask the database too, so they are rendered where its failure is caught.
            return response.render() if isinstance(response, TemplateResponse) else response
        except PermissionDenied as error:
            return self.trouble(str(error) or _("You may not do this."), status=403)
        except BrokenAlias as error:
            hint = _("Check this alias in settings.CACHES. The other caches are not concerned.")
            return self.trouble(str(error), hint, title=kwargs["alias"])
        except (*AWAY, ProgrammingError) as error:
            log.warning("The database failed under %s.", request.path, exc_info=True)
            return self.trouble(*_about_database(error), status=503)

    def prepare(self, **kwargs: Any) -> None:
        """Checks permission and alias before any method is called. ``kwargs`` are those of the route."""
        if not (self.allowed("view_cache") and self.allowed(self.permission)):
            raise PermissionDenied(_("You do not have the permission cache_admin.%s.") % self.permission)
        if alias := kwargs.get("alias"):
            try:
                self.adapter = adapter(alias)
            except UnknownAlias as error:
                raise Http404(str(error)) from error
            except CacheAdminError as error:
                raise BrokenAlias(str(error)) from error

    def trouble(self, error: str, hint: str = "", *, title: str = "", status: int = 200) -> HttpResponse:
        """A page, or a fragment, that says why there is no other. Asks neither a cache nor the database."""
        context = {**CacheView.fragment_context(self), "error": error, "hint": hint}
        template = "cache_admin/_trouble.html"
        if not is_fragment_request(self.request):
            template = "cache_admin/trouble.html"
            context = {**CacheView.page_context(self), **context, "title": title or self.title}
        return TemplateResponse(self.request, template, context, status=status).render()

    @property
    def cache(self) -> Adapter:
        """The adapter, in views whose route carries an alias."""
        if self.adapter is None:
            raise LookupError("the route of this view has no alias")
        return self.adapter

    def allowed(self, codename: str) -> bool:
        """Whether the user holds a permission of this package."""
        return self.request.user.has_perm(f"cache_admin.{codename}")

    def url(self, name: str, *args: Any) -> str:
        """URL of a page of this package on this admin site: ``self.url("dashboard", "default")``."""
        return reverse(f"{self.site.name}:cache_admin_{name}", args=args, current_app=self.site.name)

    def page_context(self) -> dict[str, Any]:
        """Context of a full page, around the context of its fragment."""
        alias = self.adapter.alias if self.adapter else ""
        return {
            **self.site.each_context(self.request),
            "title": self.title,
            "subtitle": None,
            "tab": self.tab,
            "aliases": aliases(),
            "refresh_seconds": conf.current().REFRESH_SECONDS,
            "tabs": self.tabs(alias) if alias else (),
        }

    def fragment_context(self) -> dict[str, Any]:
        """What page and fragment both need; safe to use in a fragment alone."""
        return {
            "alias": self.adapter.alias if self.adapter else "",
            "adapter": self.adapter,
            "site_name": self.site.name,
            "can": {codename: self.allowed(codename) for codename in PERMISSIONS},
        }

    def tabs(self, alias: str) -> list[tuple[str, object, str]]:
        """(slug, label, URL) of the pages of one alias that its kind of cache has and that are permitted."""
        listed = self.adapter is not None and self.adapter.can_list
        return [
            (slug, label, self.url(slug, alias) if scoped else f"{self.url(slug)}?{urlencode({'alias': alias})}")
            for slug, label, codename, scoped in TABS
            if self.allowed(codename) and (slug not in WHEN or WHEN[slug]()) and (listed or slug not in LISTED)
        ]

    def render(self, context: dict[str, Any] | None = None, *, status: int = 200, template: str = "") -> HttpResponse:
        """The whole page, or for htmx the fragment alone."""
        merged = {**self.fragment_context(), **(context or {})}
        if not template and self.fragment_name and is_fragment_request(self.request):
            template = self.fragment_name
        elif not template or template == self.template_name:
            template, merged = self.template_name, {**self.page_context(), **merged}
        response = TemplateResponse(self.request, template, merged, status=status)
        response["Vary"] = "HX-Request"
        return response


def _about_database(error: Exception) -> tuple[str, str]:
    """What happened to the project's database, and what to do."""
    if isinstance(error, ProgrammingError) or str(error).startswith("no such "):
        return _("The tables of these pages are missing, or of another version."), _("Run manage.py migrate.")
    return _("The database does not answer, or is locked."), _("The caches are not concerned. Try again in a moment.")

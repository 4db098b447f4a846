"""The entry in the admin index. Its URLs are the pages of the dashboard, so no project has to edit a URLconf.

:func:`register` puts the dashboard on an admin site of the project's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern

from cache_admin import urls
from cache_admin.models import Cache

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Cache]
else:
    ModelAdmin = admin.ModelAdmin


class CacheAdmin(ModelAdmin):
    """No rows, no forms: only the permission to look, and the pages."""

    def get_urls(self) -> list[URLPattern]:
        return urls.patterns(self.admin_site)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cache_admin.view_cache")

    def has_view_permission(self, request: HttpRequest, obj: Cache | None = None) -> bool:
        return request.user.has_perm("cache_admin.view_cache")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Cache | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Cache | None = None) -> bool:
        return False


def register(site: admin.AdminSite) -> None:
    """Puts the dashboard on ``site``; harmless when it is there already."""
    if not site.is_registered(Cache):
        site.register(Cache, CacheAdmin)


register(admin.site)

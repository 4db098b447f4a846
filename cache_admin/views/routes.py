"""Which page stands where: (route, view, URL name without the prefix), and the tabs of an alias."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cache_admin.views.base import CacheView

ROUTES: list[tuple[str, type[CacheView], str]] = []

#: (slug = URL name, label, permission, whether the URL carries the alias)
TABS: tuple[tuple[str, object, str, bool], ...] = (
    ("dashboard", _("Dashboard"), "view_cache", True),
    ("patterns", _("Patterns"), "view_cache", True),
    ("keys", _("Keys"), "view_cache", True),
    ("large_keys", _("Large keys"), "view_cache", True),
    ("invalidate", _("Invalidate"), "invalidate", True),
    ("operations", _("Operations"), "view_audit", False),
)

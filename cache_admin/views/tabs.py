"""The tabs above the pages of an alias."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext_lazy as _

from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.operations import warm

#: (slug = URL name, label, permission, whether the URL carries the alias)
TABS: tuple[tuple[str, object, str, bool], ...] = (
    ("dashboard", _("Dashboard"), "view_cache", True),
    ("patterns", _("Patterns"), "view_cache", True),
    ("keys", _("Keys"), "view_cache", True),
    ("large_keys", _("Large keys"), "view_cache", True),
    ("hit_rates", _("Hit rates"), "view_cache", True),
    ("health", _("Health"), "view_cache", True),
    ("forecast", _("Expiry"), "view_cache", True),
    ("leftovers", _("Leftovers"), "view_cache", True),
    ("invalidate", _("Invalidate"), "invalidate", True),
    ("warmers", _("Warmers"), "run_warmers", False),
    ("rules", _("Rules"), "view_cache", False),
    ("operations", _("Operations"), "view_audit", False),
    ("deploys", _("Deploys"), "view_cache", False),
)
#: Tabs that are there only while this is true.
WHEN: dict[str, Callable[[], object]] = {"rules": cache_invalidator.rules, "warmers": warm.shown}
#: Tabs of what is only known where keys can be listed.
LISTED = frozenset({"patterns", "large_keys", "forecast", "leftovers"})

"""A view for the URLconf of the project, which is not mounted by itself."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from cache_admin.metrics.collector import CacheCollector


def may_view(request: HttpRequest) -> bool:
    """Whether the signed-in user may see the cache pages."""
    user = getattr(request, "user", None)
    return user is not None and bool(user.has_perm("cache_admin.view_cache"))


# Its own ``allowed`` decides, also where a middleware sends all others to the login, which no scraper could pass.
@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest, allowed: Callable[[HttpRequest], bool] = may_view) -> HttpResponse:
    """The metrics, as text or OpenMetrics, whichever the scraper accepts; 403 unless ``allowed(request)``."""
    if not allowed(request):
        raise PermissionDenied(_("You may not see the metrics of the caches."))
    registry = CollectorRegistry()
    registry.register(CacheCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)

"""Is this value stale? Computes it anew and shows what differs. The key is not written."""

from __future__ import annotations

import time

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from cache_admin.exceptions import CacheAdminError
from cache_admin.operations import recompute
from cache_admin.views.key import KeyView


class KeyCompare(KeyView):
    """A POST, for it runs a function of the project."""

    permission = "recompute"
    template_name = "cache_admin/key_compare.html"
    title = gettext_lazy("Cached and fresh")

    def post(self, request: HttpRequest, alias: str, token: str) -> HttpResponse:
        if refusal := self.refusals()["compare"]:
            raise PermissionDenied(refusal)
        context = {"key": self.name(), "now": time.time()}
        try:
            context["comparison"] = recompute.compare(alias, self.raw)
        except CacheAdminError as error:
            context["error"] = str(error)
        return self.render(context)

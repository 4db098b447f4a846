"""One key: its name taken apart, its facts, its value without running it, and the changes one may make."""

from __future__ import annotations

import time
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin import keys, patterns
from cache_admin.adapters.base import KeyInfo
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import catalogue
from cache_admin.operations import edit, recompute
from cache_admin.values.preview import preview
from cache_admin.values.sealed import unseal
from cache_admin.views.base import CacheView
from cache_admin.views.naming import name_of

ENTRIES = 100
#: A preview holds 500 nodes, so there is no use in more.
MOST_ENTRIES = 400
VERBS: dict[str, edit.Verb] = {"delete": "delete", "expire": "expire", "persist": "persist"}


class KeyView(CacheView):
    """Base of the views on one key."""

    template_name = "cache_admin/key.html"
    tab = "keys"
    title = gettext_lazy("Key")
    raw: bytes

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        try:
            self.raw = keys.from_token(kwargs["token"])
        except ValueError as error:
            raise Http404(str(error)) from error

    def show(self, error: str = "", status: int = 200) -> HttpResponse:
        """The whole page; a key that is gone, or a server that is silent, is said in words."""
        owner = recompute.owner(self.cache, self.raw)
        context: dict[str, Any] = {"key": self.name(), "error": error, "owner": owner}
        # Asked here: a template would call the function.
        context["can_recompute"] = owner is not None and owner.recompute is not None
        if not self.cache.can_inspect:
            try:
                context["present"] = self.present()
            except CacheAdminError as problem:
                context["error"] = error or str(problem)
            return self.render({**context, "refusals": self.refusals()}, status=status)
        try:
            info = self.cache.key_info(self.raw)
            expires_at = time.time() + info.ttl if info.expires and info.ttl is not None else None
            context |= {"info": info, "expires_at": expires_at, **self.value(info)}
        except CacheAdminError as problem:
            context["error"] = error or str(problem)
        return self.render({**context, "refusals": self.refusals()}, status=status)

    def name(self) -> dict[str, Any]:
        """The name in its parts."""
        name, codec = name_of(self.cache, self.raw), self.cache.codec
        user = codec.strip(self.raw)
        template = patterns.fold(user)
        return {
            "name": name,
            "path_token": keys.token(self.raw),
            "head": keys.show(codec.head) if name.own else "",
            "version": codec.version,
            "user": name.text if name.masked else keys.show(user),
            "title": catalogue.title(user) if name.own else "",
            "pattern": patterns.display(template) if name.own else "",
            "template": template,
        }

    def present(self) -> bool:
        user = self.cache.codec.user(self.raw)
        return user is not None and self.cache.exists(user)

    def value(self, info: KeyInfo) -> dict[str, Any]:
        """Context of the value: the preview of a string, a window on a collection, or nothing without permission."""
        if not info.exists or not self.allowed("view_values"):
            return {}
        asked = self.entries()
        stored = self.cache.read(self.raw, entries=asked)
        sealed = unseal(stored, self.cache.storage)
        shown = preview(stored, self.cache.storage, self.cache.codec.user(self.raw) or "")
        # The end of a compressed value that was cut is not known, so neither is its ratio.
        whole = shown.compressor and shown.stored and not stored.truncated and not shown.truncated
        return {
            "stored": stored,
            "preview": shown,
            "sealed": sealed if sealed.known else None,
            "now": time.time(),
            "smaller": shown.inflated / shown.stored if whole else None,
            "entries": len(stored.entries),
            "more": min(asked + ENTRIES, MOST_ENTRIES) if stored.length > asked < MOST_ENTRIES else None,
        }

    def entries(self) -> int:
        """How many entries of a collection are asked for, ``ENTRIES`` to ``MOST_ENTRIES``."""
        given = self.request.GET.get("entries", "")
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else ENTRIES
        return max(ENTRIES, min(number, MOST_ENTRIES))

    def refusals(self) -> dict[str, str]:
        """For each action, why it is not offered; "" where it is."""
        cache, common = self.cache, ""
        if not cache.codec.owns(self.raw):
            common = _("This key belongs to somebody else.")
        elif catalogue.protected(cache.codec.strip(self.raw)) and not self.allowed("invalidate_protected"):
            common = _("Protected key: this needs the permission cache_admin.invalidate_protected.")
        needs = _("This needs the permission cache_admin.%s.")
        delete = "" if self.allowed("invalidate") else needs % "invalidate"
        expiry = "" if self.allowed("change_keys") else needs % "change_keys"
        lacking = [codename for codename in ("recompute", "view_values") if not self.allowed(codename)]
        if not cache.can_change:
            expiry = _("This kind of cache cannot change the expiry of a key.")
        return {
            "delete": common or delete,
            "expire": common or expiry,
            "persist": common or expiry,
            "compare": needs % lacking[0] if lacking else "",
        }


class Key(KeyView):
    def get(self, request: HttpRequest, alias: str, token: str) -> HttpResponse:
        return self.show()


class KeyChange(KeyView):
    """Deletes the key or changes its expiry; the confirmation is the form on its page."""

    def post(self, request: HttpRequest, alias: str, token: str) -> HttpResponse:
        verb = VERBS.get(request.POST.get("verb", ""))
        given = request.POST.get("seconds", "")
        seconds = int(given) if given.isascii() and given.isdigit() and len(given) < 12 else None
        if verb is None:
            return self.show(_("Choose what to do with the key. Nothing was changed."), status=400)
        if refusal := self.refusals()[verb]:
            raise PermissionDenied(refusal)
        try:
            operation = edit.apply(alias, verb, self.raw, request.user, request.POST.get("reason", ""), seconds=seconds)
        except CacheAdminError as error:
            return self.show(str(error))
        return redirect(self.url("operation", operation.pk))

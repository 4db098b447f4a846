"""Key names of one alias, a page at a time, and the look-up of one exact key."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin import keys, patterns
from cache_admin.exceptions import CacheAdminError, InvalidPattern
from cache_admin.keyspace.browse import Place, browse
from cache_admin.operations.targets import Selection, Target, show_glob
from cache_admin.views.base import CacheView
from cache_admin.views.listing import query
from cache_admin.views.naming import LONGEST_IN_LINK, name_of

_SALT = "cache_admin.keys.place"
#: Seconds for which "go on" works; a listing left open over night begins again.
_PLACE_SECONDS = 12 * 3600

Search = tuple[bytes, Callable[[bytes], object]]


class Keys(CacheView):
    template_name = "cache_admin/keys.html"
    fragment_name = "cache_admin/_keys.html"
    tab = "keys"
    title = gettext_lazy("Keys")

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        context: dict[str, Any] = {
            "q": request.GET.get("q", ""),
            "mode": "glob" if request.GET.get("mode") == "glob" else "text",
            "all_owners": "all" in request.GET,
            "start": query(request, place=None),
            "exact": request.GET.get("exact"),
        }
        if context["exact"] is not None:
            return self.render({**context, **self.lookup(context["exact"])})
        if not self.cache.can_list:
            return self.render(context)
        try:
            return self.render({**context, **self.listing(context)})
        except (CacheAdminError, signing.BadSignature) as error:
            stale = isinstance(error, signing.BadSignature)
            return self.render({**context, "stale": stale, "error": "" if stale else str(error)})

    def search(self, context: dict[str, Any]) -> Search:
        """The glob for the server and the test of each key. Raises :class:`InvalidPattern`."""
        codec, q = self.cache.codec, context["q"]
        if template := self.request.GET.get("template", ""):
            try:
                context["pattern"] = patterns.display(keys.from_token(template))
                selection = Selection([Target.template(keys.from_token(template))], codec)
            except ValueError:
                raise InvalidPattern(_("This link names no pattern. Choose one on the page Patterns.")) from None
            return selection.server_glob or b"", selection.match
        text = show_glob(keys.escape_glob(q.encode("utf-8", "surrogateescape")))
        glob = keys.normalise_glob(q if context["mode"] == "glob" and q else f"*{text}*" if q else "*")
        if context["all_owners"] or not codec.reversible:
            raw = glob.encode("utf-8", "surrogateescape")
            return (b"" if raw == b"*" else raw), keys.compile_glob(raw)
        selection = Selection([Target.glob(glob)], codec)
        return selection.server_glob or b"", selection.match

    def listing(self, context: dict[str, Any]) -> dict[str, Any]:
        """One page of the listing. Raises this package's errors and ``BadSignature`` for a forged or old place."""
        glob, match = self.search(context)
        salt = f"{_SALT}.{self.cache.alias}.{blake2b(glob, digest_size=8).hexdigest()}"
        place = Place()
        if signed := self.request.GET.get("place"):
            place = Place(*signing.loads(signed, salt=salt, max_age=_PLACE_SECONDS))
        found = browse(self.cache, glob, match, place)
        following = found.following
        if following:
            state = [following.cursor, following.run_id, following.after, following.scanned]
            context["following"] = query(self.request, place=signing.dumps(state, salt=salt, compress=True))
        return {
            "glob": show_glob(glob),
            "listing": found,
            "rows": [(name_of(self.cache, listed.key), listed) for listed in found.keys],
            "began": place.cursor == 0 and not place.after,
            "following": context.get("following"),
            "pattern": context.get("pattern", ""),
            "looks_like_glob": context["mode"] == "text"
            and not self.request.GET.get("template")
            and "*" in context["q"],
            "as_glob": query(self.request, mode="glob", place=None),
        }

    def lookup(self, key: str) -> dict[str, Any]:
        """Whether one user key is there; the one question that every cache answers."""
        try:
            present = self.cache.exists(key)
        except CacheAdminError as error:
            return {"error": str(error)}
        except UnicodeEncodeError:
            return {"error": _("The key holds characters that no key can have.")}
        raw = self.cache.codec.raw(key)
        # Whoever typed the whole key knows it, so the link gives nothing away.
        token = keys.token(raw) if len(raw) <= LONGEST_IN_LINK else ""
        return {"looked_up": True, "present": present, "name": name_of(self.cache, raw), "lookup_token": token}

"""Whose keys are those in an alias's database that are not its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from cache_admin.keys import CacheLike, KeyCodec

_VERSION = 987_654_321


@dataclass(frozen=True, slots=True)
class Owner:
    """``label`` in words, empty for nobody known; ``head`` is what stands before their user keys.

    ``alias`` is whose keys they are, and ``version`` the number where that is not the version of that alias now.
    """

    label: str
    head: bytes = b""
    tail: bytes = b""
    alias: str = ""
    version: int | None = None

    def strip(self, raw: bytes) -> bytes:
        return raw[len(self.head) : len(raw) - len(self.tail)]


NOBODY = Owner("")


class Owners:
    """Tells the owner of raw keys that are foreign to ``alias``: its other versions, and aliases at the same place."""

    def __init__(self, alias: str) -> None:
        place = _place(alias)
        others = [name for name in settings.CACHES if name != alias and _place(name) == place]
        self._rules = [_rule(name, "" if name == alias else name) for name in (alias, *others)]

    def of(self, raw: bytes) -> Owner:
        """The owner with the longest head that fits, or ``NOBODY``."""
        found = [owner for rule in self._rules if (owner := rule(raw))]
        return max(found, key=lambda owner: len(owner.head), default=NOBODY)


def _place(alias: str) -> tuple[object, object]:
    """Server and database of an alias, for comparing."""
    params: Any = settings.CACHES[alias]
    location = params.get("LOCATION", "")
    if isinstance(location, Iterable) and not isinstance(location, str):
        location = next(iter(location), "")
    first = str(location).split(",")[0].strip()
    options = params.get("OPTIONS") or {}
    return first, options.get("db", options.get("DB"))


def _rule(alias: str, shown: str) -> Callable[[bytes], Owner | None]:
    """Recognises the keys of an alias at any version."""
    try:
        cache: CacheLike = caches[alias]
    except (InvalidCacheBackendError, ImproperlyConfigured, ImportError):
        return lambda raw: None
    codec = KeyCodec.of(cache)
    marked = KeyCodec.of(cache, version=_VERSION)
    number = b"%d" % _VERSION
    if not codec.reversible or not codec.head:
        return lambda raw: None
    versioned = marked.reversible and marked.head.count(number) == 1
    pattern = re.escape(marked.head).replace(number, rb"(\d{1,18})") if versioned else re.escape(codec.head)
    match = re.compile(pattern).match
    name = _("alias %(alias)s") % {"alias": shown} if shown else _("this alias")

    def owner(raw: bytes) -> Owner | None:
        found = match(raw)
        if not found or not raw.endswith(codec.tail) or len(raw) < found.end() + len(codec.tail):
            return None
        label, version = name, None
        if versioned and int(found[1]) != codec.version:
            version = int(found[1])
            label = _("version %(number)s of %(alias)s") % {"number": version, "alias": name}
        return Owner(label, found[0], codec.tail, alias, version)

    return owner

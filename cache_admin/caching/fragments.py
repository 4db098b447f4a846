"""Parts of pages: removing ``{% cache %}`` fragments, and what stands behind the tags of ``cache_admin_caching``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.utils import TEMPLATE_FRAGMENT_KEY_TEMPLATE, make_template_fragment_key
from django.utils import timezone
from django.utils.translation import get_language

from cache_admin.caching.keys import CacheKeyBuilder, spell
from cache_admin.caching.patterns import delete_matching
from cache_admin.caching.smart import SmartCache
from cache_admin.keys import escape_glob

FRAGMENT_ALIAS = "template_fragments"
#: Exactly as many characters as the hash behind a name has: ``side`` must not reach ``side.bar``.
_HASH = "?" * 32
#: What an included part is called that was made without escaping, without the formats or the time zone of the reader.
UNLIKE = ("_unescaped", "_unlocalized", "_utc")
#: What the keys of all parts begin with.
PART_KINDS = (*("include" + "".join(marks) for marks in product(*(("", mark) for mark in UNLIKE))), "value")


def fragment_alias() -> str:
    """The alias that ``{% cache %}`` uses without ``using=``."""
    return FRAGMENT_ALIAS if FRAGMENT_ALIAS in settings.CACHES else DEFAULT_CACHE_ALIAS


def fragment_glob(name: str) -> str:
    """The glob of user keys of all ``{% cache %}`` fragments of a name."""
    return TEMPLATE_FRAGMENT_KEY_TEMPLATE % (escape_glob(name.encode()).decode(), _HASH)


def invalidate_fragment(name: str, *vary: object, every: bool = False, alias: str | None = None) -> int:
    """Removes the ``{% cache 60 name vary... %}`` fragment of these values; ``every``: those of all values.

    Returns how many went. ``every`` passes over the keyspace once; :class:`~cache_admin.exceptions.Unsupported` where
    keys cannot be listed. ``alias`` is the one of the tag: ``template_fragments`` if there is such, else ``default``.
    """
    where = alias or fragment_alias()
    if every:
        return delete_matching(where, [fragment_glob(name)])
    return int(caches[where].delete(make_template_fragment_key(name, vary)))


async def ainvalidate_fragment(name: str, *vary: object, every: bool = False, alias: str | None = None) -> int:
    """Async twin of :func:`invalidate_fragment`."""
    return await sync_to_async(invalidate_fragment)(name, *vary, every=every, alias=alias)


def part_key(kind: str, key: str, values: Sequence[object], named: Mapping[str, object], *, user: Any = None) -> str:
    """The user key of a part of a page: ``include:card:en:product:shop.product(5)``.

    The language is in it, a time zone other than the site's, the user where it is for one, and all values that keys
    can spell. One that they cannot, such as a queryset, is not looked into: ``key`` has to say what it is.
    """
    where = [get_language() or "None"] if settings.USE_I18N else []
    if settings.USE_TZ and (zone := timezone.get_current_timezone_name()) != settings.TIME_ZONE:
        where.append(zone)
    said = [part for name in sorted(named) if _can_be_said(named[name]) for part in (name, named[name])]
    family = f"{kind}:{key}"
    parts = (*where, *(value for value in values if _can_be_said(value)), *said)
    if user is None:
        return CacheKeyBuilder.build_key(family, *parts)
    return CacheKeyBuilder.user_specific_key(user, family, *parts)


def _can_be_said(value: object) -> bool:
    try:
        spell(value)
    except TypeError:
        return False
    return True


def part(
    key: str, timeout: float | None, compute: Callable[[], Any], *, tags: Sequence[str] = (), alias: str | None = None
) -> Any:
    """The kept part of a page, computed by one caller while others wait."""
    return SmartCache(alias or fragment_alias()).get_or_set_with_lock(key, compute, timeout, tags=tags)

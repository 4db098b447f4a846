"""One adapter per alias of ``settings.CACHES``: :func:`adapter` and :func:`aliases` are the ways in.

An adapter serves cache classes by dotted path over the MRO, so a project's own subclass of ``RedisCache`` is served
as ``RedisCache`` is. Modules of client libraries are imported only when a cache that needs them is met.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable
from importlib import import_module

from django.conf import settings
from django.core.cache import caches
from django.core.signals import setting_changed
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters.base import Adapter
from cache_admin.adapters.fallback import FallbackAdapter
from cache_admin.exceptions import UnknownAlias, Unsupported

__all__ = ["Adapter", "adapter", "adapter_of", "aliases"]

log = logging.getLogger(__name__)

#: The module whose adapters serve a cache class. The first one there that serves the class and fits the cache is taken.
_MODULES = {
    "django.core.cache.backends.db.DatabaseCache": "cache_admin.adapters.database",
    "django.core.cache.backends.locmem.LocMemCache": "cache_admin.adapters.locmem",
    "django.core.cache.backends.memcached.BaseMemcachedCache": "cache_admin.adapters.memcached",
    "django.core.cache.backends.redis.RedisCache": "cache_admin.adapters.redis",
    "django_redis.cache.RedisCache": "cache_admin.adapters.django_redis",
}
_adapters: dict[str, Adapter] = {}
_lock = threading.Lock()


def aliases() -> tuple[str, ...]:
    """The aliases to show: all of ``CACHES``, or those that the setting ``ALIASES`` names, in its order."""
    wanted = conf.current().ALIASES
    known = tuple(alias for alias in settings.CACHES if alias and isinstance(alias, str))
    if wanted is None:
        return known
    return tuple(alias for alias in dict.fromkeys(wanted) if alias in known)


def adapter(alias: str) -> Adapter:
    """The adapter of an alias that is shown, the same object for all threads of the process until ``CACHES`` changes.

    Raises :class:`UnknownAlias` for a name that is not in :func:`aliases`, and :class:`Unsupported` for one whose
    backend cannot be loaded.
    """
    if alias not in aliases():
        raise _unknown(alias, aliases())
    return adapter_of(alias)


def adapter_of(alias: str) -> Adapter:
    """The same for the project's own code, to which every alias of ``CACHES`` is open, shown or not."""
    if alias not in settings.CACHES:
        raise _unknown(alias, settings.CACHES)
    with _lock:
        if alias not in _adapters:
            _adapters[alias] = _build(alias)
        return _adapters[alias]


def _unknown(alias: str, known: Iterable[str]) -> UnknownAlias:
    names = ", ".join(known) or "—"
    return UnknownAlias(
        _("There is no cache named %(alias)s. There are: %(names)s.") % {"alias": alias, "names": names}
    )


def _build(alias: str) -> Adapter:
    try:
        cache = caches.create_connection(alias)
        return _adapter_class(cache)(alias, cache)
    except Exception as error:
        # The class of the backend and its key function are anybody's code, and their words may hold a password.
        log.warning("The backend of the cache alias %r cannot be loaded: %s.", alias, type(error).__name__)
        text = _("%(alias)s: its backend cannot be loaded (%(error)s).")
        raise Unsupported(text % {"alias": alias, "error": type(error).__name__}) from None


def _adapter_class(cache: object) -> type[Adapter]:
    for base in type(cache).__mro__:
        path = f"{base.__module__}.{base.__qualname__}"
        if path not in _MODULES:
            continue
        for candidate in vars(import_module(_MODULES[path])).values():
            if not isinstance(candidate, type) or not issubclass(candidate, Adapter):
                continue
            if path in candidate.serves and candidate.fits(cache):
                return candidate
    return FallbackAdapter


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting not in ("CACHES", conf.SETTING):
        return
    with _lock:
        _adapters.clear()
    if servers := sys.modules.get("cache_admin.adapters.servers"):
        servers.forget()


def _after_fork() -> None:
    """A thread of the parent may hold the lock."""
    global _lock
    _lock = threading.Lock()


setting_changed.connect(_forget, dispatch_uid="cache_admin.adapters")
os.register_at_fork(after_in_child=_after_fork)

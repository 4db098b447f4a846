"""Any other cache: exact keys through the cache itself, and words for what it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.cache import InvalidCacheKey, caches
from django.utils.translation import gettext as _

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.patience import in_time
from cache_admin.bookkeeping import unwatched
from cache_admin.exceptions import CacheAdminError, Unavailable
from cache_admin.keys import KeyCodec

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class FallbackAdapter(Adapter):
    """One alias of a kind that nobody here knows better."""

    #: Whether it may wait for a server, for as long as it likes.
    may_hang: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if hasattr(self.cache, "make_key") and hasattr(self.cache, "version"):
            self.codec = KeyCodec.of(self.cache)
        else:
            # Not every cache that Django accepts is a BaseCache.
            self.codec = KeyCodec(b"", b"", False, 1, lambda key, version: key.encode("utf-8", "surrogateescape"))

    def exists(self, key: str) -> bool:
        return bool(self._ask(lambda cache: cache.has_key(key)))

    def delete_user_key(self, key: str) -> bool:
        return bool(self._ask(lambda cache: cache.delete(key)))

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        """What ``call`` gets from the cache object of the project, within the time that a page has."""

        def asked() -> Any:
            with translated(self.alias):
                return self.perform(call)
            return None

        return in_time(self.alias, asked) if self.may_hang else asked()

    def perform(self, call: Callable[[Any], Any]) -> Any:
        """Calls it with the cache object of this thread; any exception may leave."""
        return call(unwatched(caches[self.alias]))


@contextmanager
def translated(alias: str) -> Iterator[None]:
    """For whatever is done through a cache object of the project itself.

    Any client library may stand behind it, so any exception may leave it. The log gets its class alone: its text may
    hold a host or a password.
    """
    try:
        yield
    except InvalidCacheKey:
        return  # no such key can be there
    except CacheAdminError:
        raise
    except Exception as error:
        logger.warning("Cache %s failed: %s", alias, type(error).__qualname__)
        text = _("%(alias)s: the cache failed (%(error)s). The server may be down.")
        raise Unavailable(text % {"alias": alias, "error": type(error).__name__}) from None

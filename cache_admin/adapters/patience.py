"""Calls of a project's own cache object, which may have long time-outs or none, made so that no page waits for them.

Each runs in a thread, which is left behind when it takes too long: it cannot be ended from outside. While one hangs,
its alias is not asked again, so that there is seldom more than one of them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.core.cache import caches
from django.utils import timezone
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.exceptions import CacheAdminError, Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Hanging:
    thread: threading.Thread
    since: float  #: Unix time


_hanging: dict[str, _Hanging] = {}


def in_time(alias: str, call: Callable[[], T]) -> T:
    """What ``call`` returns, or raises of our errors, within ``SERVER_TIMEOUT``; :class:`Unavailable` where it takes
    longer, or one before it still does."""
    before = _hanging.get(alias)
    if before and before.thread.is_alive():
        raise _silent(alias, before.since)
    done: list[T] = []
    failed: list[CacheAdminError] = []

    def run() -> None:
        try:
            done.append(call())
        except CacheAdminError as error:
            failed.append(error)
        finally:
            caches.close_all()  # those of this thread

    began = time.time()
    thread = threading.Thread(target=run, name=f"cache-admin-look-{alias}", daemon=True)
    thread.start()
    thread.join(conf.current().SERVER_TIMEOUT)
    if failed:
        raise failed[0]
    if not done:
        _hanging[alias] = _Hanging(thread, began)
        raise _silent(alias, began)
    _hanging.pop(alias, None)
    return done[0]


def _silent(alias: str, since: float) -> Unavailable:
    moment = datetime.fromtimestamp(since, tz=timezone.get_current_timezone())
    text = _("%(alias)s: not answering since %(since)s.") % {"alias": alias, "since": f"{moment:%H:%M:%S}"}
    error = Unavailable(text)
    error.since = since
    return error


# Its threads stay with the parent.
os.register_at_fork(after_in_child=_hanging.clear)

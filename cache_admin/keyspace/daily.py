"""Once a day a sample of each alias, for its growth, where nobody scans it: by one process of all, one alias at a time.

It costs a server no more than somebody opening a page (``SAMPLE_MILLISECONDS``), and is off with ``SAMPLING``.
"""

from __future__ import annotations

import logging
from datetime import date

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from cache_admin import conf
from cache_admin.adapters import adapter, aliases
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace import growth
from cache_admin.keyspace.census import sample
from cache_admin.models import Growth
from cache_admin.monitoring import leases

EVERY = 60.0  #: seconds between two looks whether an alias is due
HOLD = 300.0  #: seconds for which nobody else tries an alias that this process tries

logger = logging.getLogger(__name__)

#: The day of each alias of which this process knows that it was looked at.
_done: dict[str, date] = {}


def remember_one() -> str | None:
    """Samples the first alias that has no look of today, and returns its name; ``None`` where none is due.

    A silent server or database only means that it is tried again later.
    """
    if not conf.current().SAMPLING:
        return None
    today = timezone.localdate(timezone=timezone.get_default_timezone()) if settings.USE_TZ else date.today()
    for alias in aliases():
        if _done.get(alias) == today:
            continue
        try:
            if _is_due(alias, today):
                growth.remember(sample(adapter(alias), conf.current().SAMPLE_MILLISECONDS))
                _done[alias] = today
                return alias
        except (CacheAdminError, DatabaseError):
            logger.debug("The growth of %s is not known today yet.", alias, exc_info=True)
    return None


def forget() -> None:
    """Drops what this process knows, for tests."""
    _done.clear()


def _is_due(alias: str, today: date) -> bool:
    if not adapter(alias).can_list or Growth.objects.filter(alias=alias, day=today).exists():
        _done[alias] = today
        return False
    return leases.hold(f"growth:{alias}"[:100], HOLD)

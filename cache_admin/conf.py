"""The settings of this package: one frozen dataclass of defaults for the ``CACHE_ADMIN`` dict of the host project.

``conf.current()`` is read where a value is used, never at import, so ``override_settings`` works in tests of host
projects. A name
that is no field here is reported by the system check ``cache_admin.E001`` and ignored at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

SETTING = "CACHE_ADMIN"


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults. Each field is documented in ``docs/settings.md``, which a test holds against this class."""

    #: Aliases to show, in this order; ``None`` shows all of ``CACHES``.
    ALIASES: tuple[str, ...] | None = None
    #: Seconds between two refreshes of a visible page; 0 switches live refresh off.
    REFRESH_SECONDS: int = 5
    #: Seconds until a silent server counts as unavailable, for connecting and for each reply.
    SERVER_TIMEOUT: float = 1.5
    #: Milliseconds a keyspace sample may take.
    SAMPLE_MILLISECONDS: int = 200
    #: Most patterns a report keeps; keys of further ones are counted under "other".
    MAX_PATTERNS: int = 5_000
    #: How many of the largest keys a complete scan keeps, per alias.
    LARGE_KEYS: int = 100
    #: Largest share of the server's time a gentle scan or purge may take, 0.01 to 1.
    GENTLE_SHARE: float = 0.25
    #: Names of key families that need ``cache_admin.invalidate_protected`` to be changed, see ``docs/permissions.md``.
    PROTECTED_FAMILIES: tuple[str, ...] = ("session", "lock", "throttle", "queue")
    #: Globs of user keys (without prefix and version) that are protected as well.
    PROTECTED_PATTERNS: tuple[str, ...] = ()
    #: An invalidation of more keys than this asks for the name of the alias to be typed.
    TYPED_CONFIRMATION_KEYS: int = 10_000
    #: Seconds for which a confirmation may be used.
    CONFIRMATION_SECONDS: int = 600
    #: Field names (case-insensitive parts of them) whose values are masked in a preview.
    MASKED_FIELDS: tuple[str, ...] = (
        *("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie", "session_key"),
        *("sessionid", "csrf", "credit_card", "card_number", "cvv", "iban", "ssn", "private_key"),
    )
    #: Globs of user keys whose names and values are masked.
    MASKED_KEYS: tuple[str, ...] = ()
    #: How long operations run: ``"thread"`` in a background thread of this process, ``"inline"`` before the response
    #: (tests).
    RUNNER: str = "thread"
    #: Days for which finished operations stay in the audit; 0 keeps them for ever.
    AUDIT_DAYS: int = 365


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings in force. Unknown names are left to the system check; wrong types are too."""
    given: Mapping[str, Any] = getattr(settings, SETTING, None) or {}
    known = {field.name for field in fields(Settings)}
    values: Any = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known
    }
    return replace(Settings(), **values)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="cache_admin.conf")

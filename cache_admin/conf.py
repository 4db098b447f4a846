"""The settings of this package: one frozen dataclass of defaults for the ``CACHE_ADMIN`` dict of the host project.

``conf.current()`` is read where a value is used, never at import, so ``override_settings`` works in tests of host
projects. A name that is no field here, and a value that is no good, are reported by the system checks
``cache_admin.E001`` and ``E002``. A server that runs no checks goes on with the defaults instead of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

SETTING = "CACHE_ADMIN"

#: Least and greatest valid value of the settings that are numbers.
RANGES: Mapping[str, tuple[float, float]] = {
    "REFRESH_SECONDS": (0, 3600),
    "SERVER_TIMEOUT": (0.05, 60),
    "SAMPLE_MILLISECONDS": (10, 5000),
    "MAX_PATTERNS": (10, 100_000),
    "LARGE_KEYS": (1, 10_000),
    "GENTLE_SHARE": (0.01, 1),
    "TYPED_CONFIRMATION_KEYS": (0, math.inf),
    "CONFIRMATION_SECONDS": (10, 86_400),
    "AUDIT_DAYS": (0, math.inf),
    "RECORDING_SHARE": (0.001, 1),
}
#: What settings name by a word of ours.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "RUNNER": ("thread", "inline", "tasks"),
    "HEADERS_FOR": ("staff", "everyone", "nobody"),
}
#: Those that may also be the dotted path of a function of the project's own.
PATHS = frozenset({"RUNNER"})
#: Those that list aliases, and those that list globs of user keys.
ALIAS_LISTS = ("ALIASES", "RECORDED_ALIASES")
GLOB_LISTS = ("PROTECTED_PATTERNS", "MASKED_KEYS", "RECORDING_IGNORES")


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
    #: Where operations run: ``"thread"`` in a background thread of this process, ``"inline"`` before the response
    #: (tests), ``"tasks"`` on Django's Tasks framework, or the dotted path of a function that puts the id of an
    #: operation on another queue, see ``docs/queues.md``.
    RUNNER: str = "thread"
    #: Days for which finished operations stay in the audit; 0 keeps them for ever.
    AUDIT_DAYS: int = 365
    #: Whether the operations of the project's caches are counted per pattern, see ``docs/monitoring.md``.
    RECORDING: bool = True
    #: Aliases whose operations are counted; ``None`` counts those of all.
    RECORDED_ALIASES: tuple[str, ...] | None = None
    #: Globs of user keys that are not counted: by default the bookkeeping of the caching library.
    RECORDING_IGNORES: tuple[str, ...] = ("cache_tag:*", "cache_warm:*", "*:lock")
    #: Share of all operations that is counted, 0.001 to 1; the figures are scaled up and marked as estimates.
    RECORDING_SHARE: float = 1.0
    #: Whether the servers' own counters are read every 5 seconds, by one process of all; else only while somebody
    #: looks, and by ``manage.py cache_sample``. With it goes one sample of each alias a day, for its growth.
    SAMPLING: bool = True
    #: Whose responses tell of their cache operations in headers, with the middleware: ``"staff"``, ``"everyone"`` or
    #: ``"nobody"``, see ``docs/monitoring.md``.
    HEADERS_FOR: str = "staff"
    #: The release that runs, e.g. a version or the id of a commit. The first process that serves another one than the
    #: last deploy names marks a deploy, see ``docs/deploys.md``; "" marks none.
    RELEASE: str = ""


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings in force: what is given, as far as the system checks find no fault with it."""
    given = getattr(settings, SETTING, None)
    known = {field.name for field in fields(Settings)}
    values: Any = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if isinstance(value, list | tuple):
            value = tuple(item for item in value if isinstance(item, str))
        if name in known and not problem(name, value):
            values[name] = value
    return replace(Settings(), **values)


def problem(name: str, value: object) -> str:
    """What the value of a known setting must be, in words; "" for a good value."""
    default = getattr(Settings(), name)
    if name in CHOICES:
        return _choice_problem(value, CHOICES[name], path=name in PATHS)
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, int | float):
        return _number_problem(value, default, RANGES.get(name, (-math.inf, math.inf)))
    if isinstance(default, str):
        return "" if isinstance(value, str) else "a string"
    if value is None and default is None:
        return ""
    texts = isinstance(value, tuple | list) and all(isinstance(item, str) for item in value)
    return "" if texts else "a list or tuple of strings" + (" or None" if default is None else "")


def _choice_problem(value: object, choices: tuple[str, ...], *, path: bool) -> str:
    if value in choices or (path and _is_path(value)):
        return ""
    *others, last = [*map(repr, choices), *(["the dotted path of a function"] if path else [])]
    return f"{', '.join(others)} or {last}"


def _is_path(value: object) -> bool:
    return isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split("."))


def _number_problem(value: object, default: float, bounds: tuple[float, float]) -> str:
    kinds = (int,) if isinstance(default, int) else (int, float)
    low, high = bounds
    if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:
        return ""
    kind = "a whole number" if isinstance(default, int) else "a number"
    if math.isinf(low):
        return kind
    return f"{kind} of {low:g} or more" if math.isinf(high) else f"{kind} from {low:g} to {high:g}"


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="cache_admin.conf")

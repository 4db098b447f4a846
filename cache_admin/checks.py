"""System checks ``cache_admin.E001`` .. : pure functions that return messages. Each message is documented in
``docs/install.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django import VERSION
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from cache_admin.conf import ALIAS_LISTS, CHOICES, GLOB_LISTS, SETTING, Settings, problem
from cache_admin.exceptions import InvalidPattern
from cache_admin.keys import normalise_glob
from cache_admin.keyspace.catalogue import FAMILIES

PACKAGE = Path(__file__).parent


def check_all(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """All checks of this package."""
    given = getattr(settings, SETTING, None) or {}
    installed = {config.name for config in apps.get_app_configs()}
    return [
        *check_settings(given),
        *check_aliases(given, settings.CACHES),
        *check_families(given),
        *check_globs(given),
        *check_runner(given, getattr(settings, "TASKS", {})),
        *check_install(installed, PACKAGE),
    ]


def check_settings(given: object) -> list[checks.CheckMessage]:
    """E001 and E002: names and values of the ``CACHE_ADMIN`` dict."""
    if not isinstance(given, Mapping):
        return [checks.Error(f"{SETTING} must be a dict, not {type(given).__name__}.", id="cache_admin.E002")]
    known = [field.name for field in fields(Settings)]
    messages: list[checks.CheckMessage] = []
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(str(name).upper(), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The settings are: {', '.join(known)}."
            messages.append(checks.Error(f"{SETTING}[{name!r}] is no setting.", hint=hint, id="cache_admin.E001"))
        elif wanted := problem(name, value):
            messages.append(
                checks.Error(f"{SETTING}[{name!r}] must be {wanted}, not {value!r}.", id="cache_admin.E002")
            )
    return messages


def check_aliases(given: object, caches: Iterable[str]) -> list[checks.CheckMessage]:
    """E003: every alias that a setting names is in ``CACHES``."""
    known = list(caches)
    return [
        checks.Error(
            f"{SETTING}[{name!r}] names {alias!r}, which is not in CACHES.",
            hint=f"The aliases are: {', '.join(known)}.",
            id="cache_admin.E003",
        )
        for name in ALIAS_LISTS
        for alias in _texts(given, name)
        if alias not in known
    ]


def check_families(given: object) -> list[checks.CheckMessage]:
    """E006: every family in ``CACHE_ADMIN["PROTECTED_FAMILIES"]`` is known; keys of another would not be protected."""
    known = sorted({family.name for family in FAMILIES})
    return [
        checks.Error(
            f"{SETTING}['PROTECTED_FAMILIES'] names {name!r}, which is no family of keys.",
            hint=f"The families are: {', '.join(known)}. PROTECTED_PATTERNS protects any others.",
            id="cache_admin.E006",
        )
        for name in _texts(given, "PROTECTED_FAMILIES")
        if name not in known
    ]


def check_globs(given: object) -> list[checks.CheckMessage]:
    """E007: globs in settings are good ones; another would match no key, or not those that are meant."""
    messages: list[checks.CheckMessage] = []
    for name in GLOB_LISTS:
        for glob in _texts(given, name):
            try:
                normalise_glob(glob)
            except InvalidPattern as error:
                messages.append(
                    checks.Error(f"{SETTING}[{name!r}] has {glob!r}, no good glob: {error}", id="cache_admin.E007")
                )
    return messages


def _texts(given: object, name: str) -> list[str]:
    """The strings that a setting lists; of one that E002 is about, none."""
    listed = given.get(name) if isinstance(given, Mapping) else None
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, tuple | list) else []


def check_runner(given: object, tasks: Mapping[str, Any]) -> list[checks.CheckMessage]:
    """E004 and W004: the queue that ``CACHE_ADMIN["RUNNER"]`` names is there. ``tasks`` is the setting ``TASKS``."""
    runner = given.get("RUNNER") if isinstance(given, Mapping) else None
    if not isinstance(runner, str) or problem("RUNNER", runner):
        return []
    if runner != "tasks":
        return [] if runner in CHOICES["RUNNER"] else _check_function(runner)
    if not _has_tasks():
        return [
            checks.Error(
                f"{SETTING}['RUNNER'] is 'tasks', and there is no Tasks framework.",
                hint="Use Django 6.0 or later, or install django-tasks.",
                id="cache_admin.E004",
            )
        ]
    backend = str(tasks.get("default", {}).get("BACKEND", "ImmediateBackend")).rpartition(".")[2]
    if backend not in {"ImmediateBackend", "DummyBackend"}:
        return []
    return [
        checks.Warning(
            f"{SETTING}['RUNNER'] is 'tasks', and TASKS has no backend with workers ({backend}).",
            hint="Operations run in the request, or never. Configure a backend such as django-tasks-db.",
            id="cache_admin.W004",
        )
    ]


def _has_tasks() -> bool:
    return VERSION >= (6, 0) or find_spec("django_tasks") is not None


def _check_function(path: str) -> list[checks.CheckMessage]:
    try:
        found = callable(import_string(path))
    except ImportError:
        found = False
    if found:
        return []
    return [
        checks.Error(
            f"{SETTING}['RUNNER'] names {path!r}, which is no function that can be imported.",
            hint="It takes the id of an operation and puts it on a queue.",
            id="cache_admin.E004",
        )
    ]


def check_install(installed: Iterable[str], package: Path) -> list[checks.CheckMessage]:
    """E005, W002 and W003: what the pages need beside this app. ``installed`` are names of apps."""
    names = set(installed)
    messages: list[checks.CheckMessage] = []
    if "django_htmx" not in names:
        messages.append(
            checks.Error(
                "The cache pages need django-htmx.",
                hint="Add 'django_htmx' to INSTALLED_APPS.",
                id="cache_admin.E005",
            )
        )
    if not (package / "templates" / "cache_admin").is_dir():
        messages.append(
            checks.Warning(
                "The templates are not beside the package.",
                hint="In a checkout, cache_admin/templates and cache_admin/static are symbolic links: check out again "
                "with 'git config core.symlinks true'. Otherwise install the package again.",
                id="cache_admin.W002",
            )
        )
    if "django.contrib.admin" not in names:
        messages.append(
            checks.Warning(
                "The cache pages live in the Django admin, which is not installed.",
                hint="Add 'django.contrib.admin' to INSTALLED_APPS.",
                id="cache_admin.W003",
            )
        )
    return messages

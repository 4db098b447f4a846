"""Whether what a value names could be imported, found out without importing anything.

What is loaded is looked up in the namespaces as they stand, past every ``__getattr__``. What is not loaded is looked
for on disk by the import system's own finders, which run no code of the module; whether the name is in it then stays
unknown.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from enum import Enum
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from django.apps import apps

from cache_admin.values.parts import Name

_NOTHING = object()
#: Finders that import something to answer.
_BUSY_FINDERS = frozenset({"_distutils_hack"})


class Presence(Enum):
    """What is known of a name."""

    FOUND = "found"
    NO_NAME = "name"  #: the module is loaded, and has no such name
    NO_MODULE = "module"  #: there is no such module
    NOT_LOADED = "unloaded"  #: the module is on disk; nobody looked into it
    UNTOLD = "untold"  #: only running code could tell


def presence(name: Name) -> Presence:
    """Looks for ``name``; imports nothing, calls nothing of the module."""
    module = sys.modules.get(name.module, _NOTHING)
    if module is None:
        return Presence.NO_MODULE
    return _on_disk(name.module) if module is _NOTHING else _within(module, name.name.split("."))


def model_is_there(app: str, model: str) -> bool:
    """Whether a model is installed, by the label and name that its pickles carry."""
    return model.lower() in apps.all_models.get(app, {})


def _space(module: object) -> dict[str, Any] | None:
    """The namespace of a module; a lazy one stays unloaded."""
    try:
        space = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    return space if isinstance(space, dict) else None


def _within(module: object, parts: list[str]) -> Presence:
    space = _space(module)
    if space is None:
        return Presence.UNTOLD
    first, *rest = parts
    if first not in space:
        plain = type(module) is ModuleType and "__getattr__" not in space
        return Presence.NO_NAME if plain else Presence.UNTOLD
    found = space[first]
    for part in rest:
        if not isinstance(found, type):
            return Presence.UNTOLD
        inner = inspect.getattr_static(found, part, _NOTHING)
        if inner is _NOTHING:
            plain = inspect.getattr_static(type(found), "__getattr__", _NOTHING) is _NOTHING
            return Presence.NO_NAME if plain else Presence.UNTOLD
        found = inner
    return Presence.FOUND


def _on_disk(module: str) -> Presence:
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return Presence.NO_MODULE
    for depth in range(len(parts) - 1, 0, -1):
        loaded = sys.modules.get(".".join(parts[:depth]))
        if loaded is not None:
            path = (_space(loaded) or {}).get("__path__", _NOTHING)
            return _below(parts, depth, path)
    spec = _top(parts[0])
    if spec is None:
        return Presence.NO_MODULE
    return _below(parts, 1, _NOTHING if spec.submodule_search_locations is None else spec.submodule_search_locations)


def _below(parts: list[str], depth: int, path: Any) -> Presence:
    """The same for what is below the first ``depth`` parts, a package with ``path``, or no package."""
    for end in range(depth + 1, len(parts) + 1):
        if path is _NOTHING:
            return Presence.NO_MODULE
        places = _places(path)
        if not places:
            return Presence.UNTOLD
        spec = PathFinder.find_spec(".".join(parts[:end]), places)
        if spec is None:
            return Presence.NO_MODULE
        path = _NOTHING if spec.submodule_search_locations is None else spec.submodule_search_locations
    return Presence.NOT_LOADED


def _places(path: Any) -> list[str]:
    return [place for place in path if isinstance(place, str)] if isinstance(path, Iterable) else []


def _top(name: str) -> Any:
    """The spec of a top-level module, from the finders that ``import`` asks."""
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_spec", None)
        if find is None or getattr(finder, "__module__", "") in _BUSY_FINDERS:
            continue
        try:
            spec = find(name, None)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            return spec
    return None

"""What becomes stale when a model changes: one :class:`Rule`, the figures it left, and the changes a callback is told.

Texts of a rule are filled from the changed instance: ``product:{pk}``, ``category:{category_id}``. A field that changed
is filled in twice, as it was loaded and as it was saved: both the old category and the new one are stale.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from string import Formatter
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Field, Model

from cache_admin.caching.keys import spell

#: Where an instance keeps the values that it was loaded with, of the fields that rules name.
_LOADED = "_cache_admin_loaded"


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in one transaction, for one rule. ``instances`` are as they were saved last, in order; a pk that
    was told by :func:`~cache_admin.caching.invalidation.touch` has none."""

    model: type[Model]
    using: str
    pks: tuple[Any, ...]
    instances: tuple[Model, ...]


#: Called once after commit; awaited if it is a coroutine function. A number that it returns counts as dropped.
Callback = Callable[[Changes], object]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """When an instance of ``model`` is saved, deleted, or changes in a many-to-many relation, ``tags`` are invalidated,
    ``keys`` and what ``patterns`` match deleted from ``alias``, ``urls`` purged from proxies, ``callback`` called."""

    name: str
    model: type[Model]
    alias: str
    tags: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    callback: Callback | None = None
    #: Names that the texts are filled with.
    names: frozenset[str] = field(init=False)
    #: Columns among them, other than the primary key.
    columns: frozenset[str] = field(init=False)
    #: Texts that lead through relations (``{category.slug}``), with what must be set for them to be filled.
    through: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        texts = (*self.tags, *self.keys, *self.patterns, *self.urls)
        fields = {text: [name for _, name, _, _ in Formatter().parse(text) if name is not None] for text in texts}
        names = {name.partition(".")[0] for named in fields.values() for name in named}
        label = self.model._meta.label
        for name in names:
            if not name.isidentifier() or not (hasattr(self.model, name) or name in _fields(self.model)):
                raise ValueError(f"The rule {self.name} names {{{name}}}, which {label} does not have.")
        pk = self.model._meta.pk
        columns = {column.attname for column in self.model._meta.concrete_fields if column is not pk}
        object.__setattr__(self, "names", frozenset(names))
        object.__setattr__(self, "columns", frozenset(names & columns))
        steps = {text: tuple(step for name in named for step in _steps(name)) for text, named in fields.items()}
        object.__setattr__(self, "through", {text: found for text, found in steps.items() if found})

    @property
    def needs_instance(self) -> bool:
        """Whether a primary key alone does not fill its texts."""
        return not self.names <= {"pk"}

    def fill(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Pairs of a kind (``"tags"``, ``"keys"``, ``"patterns"``, ``"urls"``) and a text with ``values`` in it.

        A text that leads through a relation that is not set names nothing, and is left out.
        """
        for kind in ("tags", "urls"):
            for text in self._filled_by(values, getattr(self, kind)):
                yield kind, text.format_map(values)
        for kind in ("keys", "patterns"):
            for text in self._filled_by(values, getattr(self, kind)):
                yield kind, _SPELLING.vformat(text, (), values)

    def _filled_by(self, values: Mapping[str, Any], texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            if all(_is_set(step, values) for step in self.through.get(text, ())):
                yield text


class _Spelling(Formatter):
    """Fills in values as keys spell them: no sign of a glob is left, so they stand for themselves in one as well."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return format(value, format_spec) if format_spec else spell(value)


_SPELLING = _Spelling()


def _steps(name: str) -> Iterator[str]:
    """``category`` and ``category.parent`` of ``category.parent.slug``."""
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _is_set(step: str, values: Mapping[str, Any]) -> bool:
    try:
        return Formatter().get_field(step, (), values)[0] is not None
    except ObjectDoesNotExist:
        return False  # a one-to-one relation without its other side


def _fields(model: type[Model]) -> set[str]:
    return {name for one in model._meta.get_fields() if isinstance(one, Field) for name in (one.name, one.attname)}


class Values(Mapping[str, Any]):
    """The attributes of an instance by name, some of them as they were before."""

    def __init__(self, instance: Model, before: Mapping[str, Any] | None = None) -> None:
        self._instance = instance
        self._before = before or {}

    def __getitem__(self, name: str) -> Any:
        return self._before[name] if name in self._before else getattr(self._instance, name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def remember(instance: Model, columns: frozenset[str]) -> None:
    """Keeps the values of columns as they are now; deferred ones are left deferred."""
    now = instance.__dict__
    now[_LOADED] = {column: now[column] for column in columns if column in now}


def states(instance: Model) -> list[Values]:
    """The instance as it is, and as it was loaded where that differs."""
    before: dict[str, Any] = instance.__dict__.get(_LOADED) or {}
    if any(instance.__dict__.get(column) != value for column, value in before.items()):
        return [Values(instance), Values(instance, before)]
    return [Values(instance)]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a rule did in this process. ``dropped`` counts tags, exact keys, purged URLs and keys that patterns matched;
    ``seconds`` is the time of the passes it took part in; a pass may serve several rules."""

    fired: int = 0
    dropped: int = 0
    seconds: float = 0.0
    failed: int = 0
    last_at: float | None = None  #: Unix time
    last_error: str = ""


_figures: dict[Rule, Figures] = {}
_lock = threading.Lock()


def count(rule: Rule, dropped: int, seconds: float, error: Exception | None) -> None:
    """Adds one firing to the figures of a rule."""
    with _lock:
        before = _figures.get(rule, Figures())
        _figures[rule] = replace(
            before,
            fired=before.fired + 1,
            dropped=before.dropped + dropped,
            seconds=before.seconds + seconds,
            failed=before.failed + (error is not None),
            last_at=time.time(),
            last_error=f"{type(error).__name__}: {error}"[:500] if error else before.last_error,
        )


def figures(rule: Rule) -> Figures:
    """What a rule did so far in this process."""
    return _figures.get(rule, Figures())


def forget(rule: Rule) -> None:
    """Drops the figures of a rule that is no more."""
    with _lock:
        _figures.pop(rule, None)


def all_figures() -> dict[str, dict[str, Any]]:
    """What each rule that fired did in this process, by its name."""
    with _lock:
        return {rule.name: asdict(found) for rule, found in _figures.items()}

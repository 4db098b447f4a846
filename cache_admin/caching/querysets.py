"""``CachedQuerySet``: the rows of a query kept in a cache, and dropped by every write that Django or it can see.

A kept query carries the tag of each model whose table it names. Saves, deletes and many-to-many changes of models with
such a manager, and of the models they are related to, invalidate these tags after the commit; so do ``update()``,
``bulk_create()`` and ``bulk_update()`` through the manager. Raw SQL and other querysets' bulk writes are told by hand,
with :func:`invalidate_querysets`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import EmptyResultSet, FieldError
from django.db import router
from django.db.models import Field, Manager, Model, Prefetch, QuerySet

from cache_admin.caching.commits import pending
from cache_admin.caching.invalidation import cache_invalidator, touch
from cache_admin.caching.keys import CacheKeyBuilder, clean_prefix
from cache_admin.caching.owners import Owner, register
from cache_admin.caching.queries import again, digest, models_in, prefetched_models, remember
from cache_admin.caching.receivers import report_all
from cache_admin.caching.relations import family, tag_of
from cache_admin.caching.rules import Rule
from cache_admin.caching.smart import SmartCache

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=Model)
Q = TypeVar("Q", bound="CachedQuerySet[Any]")

#: The rule of each model whose changes drop kept queries, by model and alias.
_listening: dict[tuple[type[Model], str], Rule] = {}


@dataclass(frozen=True, slots=True)
class _Keep:
    timeout: float | None
    prefix: str


class CachedQuerySet(QuerySet[M]):
    """A queryset with :meth:`cache`. Used by ``CachedQuerySet.as_manager()``, :class:`CachedManager` or a subclass."""

    #: The alias of ``CACHES`` for the rows. Writers need to know it, so it is said here and not in a call.
    cache_alias = "default"
    _keep: _Keep | None = None
    if TYPE_CHECKING:
        _hints: dict[str, Any]
        _prefetch_done: bool
        _prefetch_related_lookups: tuple[Prefetch[Any, Any, Any] | str, ...]
        _known_related_objects: dict[Field[Any, Any], dict[Any, Model]]

    def cache(self: Q, timeout: float | None = 300, key_prefix: str = "queryset") -> Q:
        """A copy whose results are kept for ``timeout`` seconds (``None``: until a write; at most 30 days), under
        ``<key_prefix>:<app>.<model>:...``; everything made of it is kept too, each query under its own key.

        Kept are rows in every shape, slices, ``first()``, ``get()``, ``count()``, ``exists()`` and ``aggregate()``,
        with what ``prefetch_related`` brings. Never kept: ``iterator()``, ``select_for_update()``, what is read in a
        transaction after it wrote to a model of the query.
        """
        listen()
        copy = self.all()
        copy._keep = _Keep(timeout, key_prefix)
        label = self.model._meta.label_lower
        _own(label, self.cache_alias, key_prefix, timeout)
        return copy

    def _clone(self: Q) -> Q:
        copy: Q = super()._clone()  # type: ignore[misc]
        copy._keep = self._keep
        return copy

    def _plain(self: Q) -> Q:
        """A copy that asks the database."""
        copy = self.all()
        copy._keep = None
        return copy

    def _bare(self: Q) -> Q:
        """The same, holding on to no row that it came from."""
        copy = self._plain().using(self.db)
        copy._hints, copy._known_related_objects = {}, {}
        return copy

    def _fetch_all(self) -> None:
        if self._result_cache is None and self._keep:
            whole = self._prefetch_related_lookups and not self._prefetch_done
            extra = prefetched_models(self.model, self._prefetch_related_lookups, self.db) if whole else set()
            self._result_cache = self._kept("rows", _rows if extra is not None else _rows_alone, extra)
            self._prefetch_done = self._prefetch_done or extra is not None
            for field, objects in self._known_related_objects.items():
                for row in self._result_cache or ():
                    if isinstance(row, Model) and (near := objects.get(row.__dict__.get(field.attname))):
                        setattr(row, field.name, near)
        super()._fetch_all()

    def count(self) -> int:
        if self._keep and self._result_cache is None:
            return self._kept("count", QuerySet.count)  # type: ignore[no-any-return]
        return super().count()

    def exists(self) -> bool:
        if self._keep and self._result_cache is None:
            return self._kept("exists", QuerySet.exists)  # type: ignore[no-any-return]
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if not self._keep:
            return super().aggregate(*args, **kwargs)
        named = {**{one.default_alias: one for one in args}, **kwargs}
        try:
            asked = self._plain().annotate(**{f"kept_{name}": value for name, value in named.items()})
        except FieldError:  # an aggregate of aggregates, which aggregate() can and annotate() cannot
            return super().aggregate(*args, **kwargs)
        names = ",".join(named)
        return self._kept(f"aggregate:{names}", lambda plain: plain.aggregate(*args, **kwargs), asked=asked)  # type: ignore[no-any-return]

    def _kept(
        self,
        kind: str,
        compute: Callable[[QuerySet[Any]], Any],
        extra: set[type[Model]] | None = None,
        asked: QuerySet[Any] | None = None,
    ) -> Any:
        keep = self._keep
        try:
            name = digest(self if asked is None else asked, kind, prefetch=bool(extra))
        except EmptyResultSet:
            name = None
        if keep is None or name is None or self.query.select_for_update:
            return compute(self._plain())
        models = {self.model, *models_in(name[1], self.db), *(extra or ())}
        tags = [tag_of(model) for model in models]
        if pending(self.db, "tags").intersection(tags):
            return compute(self._plain())
        for model in models:
            if (model, self.cache_alias) not in _listening:
                _listen_to(model, self.cache_alias, expected=False)
        key = CacheKeyBuilder.build_key(f"{keep.prefix}:{self.model._meta.label_lower}", kind, name[0])
        remember(self.cache_alias, key, lambda: partial(compute, self._bare()))
        return SmartCache(self.cache_alias).get_or_set_with_lock(
            key, lambda: compute(self._plain()), keep.timeout, tags=tags
        )

    # Writes: never through kept rows, and told to those who keep them.

    def delete(self) -> tuple[int, dict[str, int]]:
        gone = super(CachedQuerySet, self._plain()).delete()
        self._result_cache = None
        return gone

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def update(self, **kwargs: Any) -> int:
        changed = super().update(**kwargs)
        invalidate_querysets(self.model, using=self.db, alias=self.cache_alias)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        made = super().bulk_create(objs, *args, **kwargs)
        self._wrote(made)
        return made

    def bulk_update(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> int:
        rows = tuple(objs)
        changed = super(CachedQuerySet, self._plain()).bulk_update(rows, *args, **kwargs)
        self._wrote(rows)
        return changed

    def get_or_create(self, defaults: Mapping[str, Any] | None = None, **kwargs: Any) -> tuple[M, bool]:
        return super(CachedQuerySet, self._plain()).get_or_create(defaults, **kwargs)

    def update_or_create(self, *args: Any, **kwargs: Any) -> tuple[M, bool]:
        return super(CachedQuerySet, self._plain()).update_or_create(*args, **kwargs)

    def _wrote(self, rows: Sequence[M]) -> None:
        touch(self.model, [row.pk for row in rows if row.pk is not None], using=self.db)
        invalidate_querysets(self.model, using=self.db, alias=self.cache_alias)


def _rows(plain: QuerySet[Any]) -> list[Any]:
    return list(plain.all())


def _rows_alone(plain: QuerySet[Any]) -> list[Any]:
    """Without what prefetches bring, which then cannot be told."""
    return list(plain.prefetch_related(None))


_Made = Manager.from_queryset(CachedQuerySet)


class CachedManager(_Made[M]):
    """A manager of :class:`CachedQuerySet`."""

    def cached(self, timeout: float | None = 300, key_prefix: str = "queryset") -> CachedQuerySet[M]:
        """All rows, kept as by :meth:`CachedQuerySet.cache`."""
        rows: CachedQuerySet[M] = self.get_queryset()  # type: ignore[assignment]
        return rows.cache(timeout, key_prefix)


def invalidate_querysets(model: type[Model], *, using: str | None = None, alias: str = "default") -> None:
    """Drops all kept queries that show ``model``, after the commit. For raw SQL and bulk writes of other querysets."""
    for one in family(model):
        report_all(_listen_to(one, alias), using or router.db_for_write(model))


async def ainvalidate_querysets(model: type[Model], *, using: str | None = None, alias: str = "default") -> None:
    """Async twin of :func:`invalidate_querysets`."""
    await sync_to_async(invalidate_querysets)(model, using=using, alias=alias)


def listen() -> None:
    """Starts listening to every model with a cached manager and to those it is related to.

    Called when the app registry is ready if ``cache_admin`` is installed, else by the first use.
    """
    if _listening or not apps.models_ready:
        return
    for model in apps.get_models():
        for manager in model._meta.managers:
            made = getattr(manager, "_queryset_class", None)
            if isinstance(made, type) and issubclass(made, CachedQuerySet):
                related = {one.related_model for one in model._meta.get_fields() if one.is_relation}
                for near in (model, *related):
                    if isinstance(near, type) and issubclass(near, Model):
                        _listen_to(near, made.cache_alias)


@lru_cache(maxsize=1024)
def _own(label: str, alias: str, prefix: str, timeout: float | None) -> None:
    pattern = f"{clean_prefix(prefix)}:{label}:*"
    register(Owner(f"{label} ({prefix})", "queryset", alias, (pattern,), partial(again, alias), timeout))


def _listen_to(model: type[Model], alias: str, *, expected: bool = True) -> Rule:
    concrete = family(model)[0]
    rule = _listening.get((concrete, alias))
    if rule is None:
        if not expected and not concrete._meta.auto_created:
            logger.warning(
                "A cached queryset shows %s, which has no cached manager and is related to no model that has one: "
                "other processes that write it will not tell. Give it a CachedManager.",
                concrete._meta.label,
            )
        name = f"cached querysets of {concrete._meta.label}" + (f" in {alias}" if alias != "default" else "")
        rule = cache_invalidator.register_invalidation_rule(concrete, tags=[tag_of(concrete)], alias=alias, name=name)
        _listening[concrete, alias] = rule
    return rule

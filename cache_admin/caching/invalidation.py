"""Rules: what becomes stale when a model changes, and the ways of saying that it did.

Django tells of ``save``, ``delete``, ``QuerySet.delete`` and changes of many-to-many relations. It does not tell of
``bulk_create``, ``bulk_update``, ``QuerySet.update`` and SQL of one's own: say those by hand, with :func:`touch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.db.models import Model

from cache_admin.caching import receivers
from cache_admin.caching.patterns import delete_matching
from cache_admin.caching.receivers import report
from cache_admin.caching.relations import family, model_tags, related_tags, tag_of
from cache_admin.caching.rules import Callback, Changes, Figures, Rule, figures, forget
from cache_admin.caching.tags import invalidate_tags

__all__ = [
    "CacheInvalidator",
    "Changes",
    "Figures",
    "Rule",
    "atouch",
    "cache_invalidator",
    "figures",
    "invalidates",
    "touch",
]
C = TypeVar("C", bound=Callable[..., object])


def touch(model: type[Model], pks: Iterable[Any], *, using: str | None = None) -> None:
    """Says that the rows ``pks`` of ``model`` changed in a way that Django does not tell of.

    The rules run as after a save: after the commit, once for all. Rules whose texts name more than ``{pk}`` read the
    rows, in one query; rows that are gone then fill in nothing.
    """
    report(model, list(pks), using or router.db_for_write(model))


async def atouch(model: type[Model], pks: Iterable[Any], *, using: str | None = None) -> None:
    """Async twin of :func:`touch`."""
    await sync_to_async(touch)(model, pks, using=using)


def invalidates(
    *models: type[Model],
    tags: Sequence[str] = (),
    keys: Sequence[str] = (),
    patterns: Sequence[str] = (),
    urls: Sequence[str] = (),
    alias: str = DEFAULT_CACHE_ALIAS,
) -> Callable[[C], C]:
    """Decorator: the function is called with :class:`Changes`, once after each commit that changed one of ``models``.

    On a function of :func:`~cache_admin.caching.decorators.cache_result` that takes no arguments, its result is removed
    instead. The rest as for :meth:`CacheInvalidator.register_invalidation_rule`.
    """

    def register(function: C) -> C:
        callback: Callback = _Dropping(function) if hasattr(function, "invalidate") else function
        name = f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
        for model in models:
            cache_invalidator.register_invalidation_rule(
                model,
                callback,
                tags=tags,
                keys=keys,
                patterns=patterns,
                urls=urls,
                alias=alias,
                name=name if len(models) == 1 else f"{name} ({model._meta.label})",
            )
        return function

    return register


class _Dropping:
    """Removes the result of a cached function; that of a coroutine function is awaited, as any callback that is one."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, changes: Changes) -> object:
        return self._function.invalidate()

    def drops(self, alias: str, key: str) -> bool:
        """Whether it removes a key; see :func:`~cache_admin.caching.commits.uncommitted`."""
        function = self._function
        return hasattr(function, "policy") and function.policy.alias == alias and function.key() == key


class CacheInvalidator:
    """Registers rules and drops what hangs on models. Stateless: ``cache_invalidator`` is the usual instance."""

    @staticmethod
    def register_invalidation_rule(
        model: type[Model],
        rule: Callback | str | Sequence[str] | None = None,
        *,
        tags: Sequence[str] = (),
        keys: Sequence[str] = (),
        patterns: Sequence[str] = (),
        urls: Sequence[str] = (),
        alias: str = DEFAULT_CACHE_ALIAS,
        name: str = "",
    ) -> Rule:
        """What becomes stale when an instance of ``model``, of a subclass or proxy of it, or of a parent changes.

        ``rule`` is a function, sync or async, of :class:`Changes`, or patterns. Texts are filled from the instance
        (``"product:{pk}"``, ``"category:{category_id}"``; ``"{category.slug}"`` may cost a query). Tags and keys cost
        the same whatever the size of the cache; patterns cost one scan of all keys per commit, which is logged.
        ``urls`` are purged from the registered proxies, and so are the tags, as surrogate keys.

        Everything runs after the commit, once per transaction; a failing rule is logged and stops nothing. Register in
        ``<app>/caching.py`` or ``AppConfig.ready()``: :class:`~django.core.exceptions.ImproperlyConfigured` before the
        models are loaded, ``ValueError`` for a field that the model lacks or a name that is taken.
        """
        if not apps.models_ready:
            raise ImproperlyConfigured(
                f"The models are not loaded yet: register the rule of {model.__name__} in <app>/caching.py."
            )
        callback = rule if callable(rule) else None
        globs = [] if callback or rule is None else [rule] if isinstance(rule, str) else list(rule)  # type: ignore[arg-type]
        made = Rule(
            name=name or _named(model, callback),
            model=model,
            alias=alias,
            tags=tuple(tags),
            keys=tuple(keys),
            patterns=(*globs, *patterns),
            urls=tuple(urls),
            callback=callback,
        )
        receivers.connect(made)
        return made

    @staticmethod
    def unregister(rule: Rule) -> None:
        """Forgets a rule and its figures."""
        receivers.disconnect(rule)
        forget(rule)

    @staticmethod
    def rules(model: type[Model] | None = None) -> tuple[Rule, ...]:
        """All rules, or those that a change of ``model`` fires, in the order of their registration."""
        return receivers.rules(model)

    @staticmethod
    def invalidate_model_cache(
        model: type[Model], pk: Any, *, alias: str = DEFAULT_CACHE_ALIAS, scan: bool = False
    ) -> int:
        """Drops what hangs on one instance: all that carries its tags (see
        :func:`~cache_admin.caching.relations.model_tags`) or those of its model, and all that its rules name.

        ``scan``: also every key that ``CacheKeyBuilder.model_key`` made for it, by one pass over the keyspace; raises
        :class:`~cache_admin.exceptions.Unsupported` where keys cannot be listed. Returns how many keys that removed.
        """
        invalidate_tags(*(tag for one in family(model) for tag in (tag_of(one), tag_of(one, pk))), alias=alias)
        touch(model, [pk])
        if not scan:
            return 0
        return delete_matching(alias, [f"{start}{tag_of(one, pk)}:*" for one in family(model) for start in ("", "v*:")])

    @staticmethod
    async def ainvalidate_model_cache(
        model: type[Model], pk: Any, *, alias: str = DEFAULT_CACHE_ALIAS, scan: bool = False
    ) -> int:
        """Async twin of :meth:`invalidate_model_cache`."""
        return await sync_to_async(CacheInvalidator.invalidate_model_cache)(model, pk, alias=alias, scan=scan)

    @staticmethod
    def invalidate_related_caches(instance: Model, *, alias: str = DEFAULT_CACHE_ALIAS) -> None:
        """Drops what hangs on an instance and on what it points at or is pointed at by, whatever the number.

        No query is made: the far side of a reverse relation is reached by the tag that stands for all its rows, see
        :func:`~cache_admin.caching.relations.model_tags`. Unset relations are left out; the row that a relation points
        at need not exist.
        """
        invalidate_tags(*dict.fromkeys([*model_tags(instance), *related_tags(instance)]), alias=alias)

    @staticmethod
    async def ainvalidate_related_caches(instance: Model, *, alias: str = DEFAULT_CACHE_ALIAS) -> None:
        """Async twin of :meth:`invalidate_related_caches`."""
        await sync_to_async(CacheInvalidator.invalidate_related_caches)(instance, alias=alias)


cache_invalidator = CacheInvalidator()


def _named(model: type[Model], callback: Callback | None) -> str:
    if callback:
        return f"{callback.__module__}.{getattr(callback, '__qualname__', type(callback).__qualname__)}"
    taken = {rule.name for rule in receivers.rules()}
    label = model._meta.label
    return next(name for number in range(1, len(taken) + 2) if (name := f"{label} {number}") not in taken)

"""What a query is, as a key; and which models it shows, as tags."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import django
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import Model, Prefetch, QuerySet
from django.db.models.fields.related import RelatedField
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.utils.translation import gettext as _

from cache_admin.caching.keys import spell

#: Queries that this process asked for last, by alias and user key. What a cache holds says not enough to ask again.
_asked: OrderedDict[tuple[str, str], Callable[[], Any]] = OrderedDict()
_MOST_ASKED = 500
_lock = threading.Lock()


def remember(alias: str, key: str, made: Callable[[], Callable[[], Any]]) -> None:
    """Keeps what computes the value of a key; ``made`` makes it if it is not there."""
    with _lock:
        if (alias, key) in _asked:
            _asked.move_to_end((alias, key))
            return
    compute = made()
    with _lock:
        _asked[alias, key] = compute
        if len(_asked) > _MOST_ASKED:
            _asked.popitem(last=False)


def again(alias: str, key: str, call: str = "") -> Any:
    """Asks the database anew for the value of a key; stores nothing. ``LookupError`` in words where this process has
    not asked for it lately."""
    with _lock:
        compute = _asked.get((alias, key))
    if compute is None:
        text = _(
            "This worker has not asked this query lately, so it cannot ask it again. Open a page that shows it first."
        )
        raise LookupError(text)
    return compute()


def digest(queryset: QuerySet[Any], kind: str, prefetch: bool = False) -> tuple[str, str] | None:
    """A hash of all that decides what a query returns (database, SQL, parameters, shape of its rows and, if wanted, its
    prefetches) and its SQL; ``None`` where a parameter cannot be spelled, so nothing may be kept under a key.

    Raises ``EmptyResultSet`` for a query that cannot return anything.
    """
    sql, params = queryset.query.get_compiler(using=queryset.db).as_sql()
    shape = queryset._iterable_class
    parts = [kind, django.get_version(), queryset.db, f"{shape.__module__}.{shape.__qualname__}", sql]
    try:
        parts += [_said(param) for param in params]
        parts += [spell(name) for name in getattr(queryset, "_fields", None) or () if isinstance(name, str)]
        for lookup in lookups_of(queryset) if prefetch else ():
            parts += _said_of_prefetch(lookup)
    except TypeError:
        return None
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(), sql


def lookups_of(queryset: QuerySet[Any]) -> tuple[Prefetch[Any, Any, Any] | str, ...]:
    """What ``prefetch_related`` was given."""
    return queryset._prefetch_related_lookups  # type: ignore[attr-defined, no-any-return]


def _said(param: Any) -> str:
    if isinstance(param, memoryview):
        return spell(bytes(param))
    try:
        return spell(param)
    except TypeError:
        # Wrappers of database drivers, such as psycopg's Jsonb, hold the value.
        return f"{type(param).__qualname__}({spell(param.obj)})" if hasattr(param, "obj") else _unknown(param)


def _unknown(param: object) -> str:
    raise TypeError(type(param).__qualname__)


def _said_of_prefetch(lookup: Prefetch[Any, Any, Any] | str) -> Iterator[str]:
    if isinstance(lookup, str):
        yield lookup
        return
    yield f"{lookup.prefetch_through}>{lookup.prefetch_to}"
    if lookup.queryset is not None:
        inner = digest(lookup.queryset, "prefetch", prefetch=True)
        yield inner[0] if inner else _unknown(lookup)


def models_in(sql: str, using: str) -> Iterator[type[Model]]:
    """Models whose table is named in a statement, subqueries and unions included; rather one too many."""
    for table, model in _tables(using):
        if table in sql:
            yield model


@lru_cache(maxsize=16)
def _tables(using: str) -> tuple[tuple[str, type[Model]], ...]:
    quote = connections[using].ops.quote_name
    models: list[type[Model]] = list(apps.get_models(include_auto_created=True))
    return tuple((quote(model._meta.db_table), model) for model in models if not model._meta.proxy)


def prefetched_models(
    model: type[Model], lookups: Iterable[Prefetch[Any, Any, Any] | str], using: str
) -> set[type[Model]] | None:
    """Models whose rows prefetches bring along; ``None`` where that cannot be told, as with generic relations."""
    found: set[type[Model]] = set()
    for lookup in lookups:
        one: type[Model] | None = model
        path = lookup if isinstance(lookup, str) else lookup.prefetch_through
        for name in path.split("__"):
            one = _far_end(one, name) if one else None
            if one is None:
                return None
            found.add(one)
        if isinstance(lookup, Prefetch) and lookup.queryset is not None:
            inner = prefetched_models(lookup.queryset.model, lookups_of(lookup.queryset), using)
            if inner is None:
                return None
            sql = lookup.queryset.query.get_compiler(using=using).as_sql()[0]
            found |= {lookup.queryset.model, *inner, *models_in(sql, using)}
    return found


def _far_end(model: type[Model], accessor: str) -> type[Model] | None:
    for relation in model._meta.related_objects:
        if isinstance(relation, ForeignObjectRel) and relation.get_accessor_name() == accessor:
            return relation.related_model
    try:
        field = model._meta.get_field(accessor)
    except FieldDoesNotExist:
        return None
    return field.related_model if isinstance(field, RelatedField) else None

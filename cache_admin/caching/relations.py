"""How models hang together, and the tags that say so.

``shop.product`` stands for all rows of a model, ``shop.product:5`` for one, and ``shop.review.product:5`` for all
reviews whose ``product`` is 5, so that a change of the product reaches them without asking which they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import ForeignKey, Model
from django.db.models.fields.reverse_related import ForeignObjectRel


def tag_of(model: type[Model], pk: Any = None) -> str:
    """The tag of all rows of a model, or of one. A proxy has the tags of the model it stands for."""
    label = _concrete(model)._meta.label_lower
    return label if pk is None else f"{label}:{pk}"


def family(model: type[Model]) -> tuple[type[Model], ...]:
    """The concrete model, and those that share its primary key by multi-table inheritance, parents and children."""
    found: dict[type[Model], None] = {}
    open_ends = [_concrete(model)]
    while open_ends:
        one = open_ends.pop()
        if one in found:
            continue
        found[one] = None
        open_ends += [parent for parent, link in one._meta.parents.items() if link is one._meta.pk]
        open_ends += [
            child
            for child in one.__subclasses__()
            if not child._meta.abstract and not child._meta.proxy and child._meta.parents.get(one) is child._meta.pk
        ]
    return tuple(found)


def with_proxies(model: type[Model]) -> tuple[type[Model], ...]:
    """The family, and every proxy of any of it."""
    found = list(family(model))
    for one in found:
        found += [child for child in one.__subclasses__() if child._meta.proxy and child not in found]
    return tuple(found)


def model_tags(instance: Model) -> list[str]:
    """The tags for a cached value that shows ``instance``: of itself and its family, and one for each foreign key that
    is set, so that a change of the row it points at reaches the value as well. No query is made."""
    tags = [tag_of(one, instance.pk) for one in family(type(instance))]
    return tags + [_far_tag(field, value) for field, value in _foreign_keys(instance)]


def related_tags(instance: Model) -> list[str]:
    """The tags of everything that is related to ``instance``: the rows it points at, and, by their relation, all rows
    that point at it; for many-to-many relations likewise. No query is made."""
    tags = []
    for field, value in _foreign_keys(instance):
        far: type[Model] = field.related_model
        if field.target_field.primary_key:
            tags += [tag_of(one, value) for one in family(far)]
        elif (known := field.get_cached_value(instance, None)) is not None:
            tags.append(tag_of(far, known.pk))
        else:
            # It points at another column than the primary key, which only a query could tell.
            tags.append(tag_of(far))
    for one in family(type(instance)):
        for relation in one._meta.get_fields(include_hidden=True):
            if isinstance(relation, ForeignObjectRel):
                tags += _reverse(relation, instance)
        tags += [tag_of(field.related_model) for field in one._meta.local_many_to_many]
    return tags


def _reverse(relation: ForeignObjectRel, instance: Model) -> Iterator[str]:
    near: type[Model] = relation.related_model
    if relation.many_to_many:
        yield tag_of(near)
    elif not near._meta.auto_created and isinstance(field := relation.field, ForeignKey):
        value = instance.__dict__.get(field.target_field.attname)
        if value is not None:
            yield _far_tag(field, value)


def _far_tag(field: ForeignKey[Any, Any], value: Any) -> str:
    return f"{field.model._meta.label_lower}.{field.name}:{value}"


def _foreign_keys(instance: Model) -> Iterator[tuple[ForeignKey[Any, Any], Any]]:
    """Foreign keys and one-to-one relations that are loaded and set, except links to parents."""
    for field in instance._meta.concrete_fields:
        if isinstance(field, ForeignKey) and not field.remote_field.parent_link:
            value = instance.__dict__.get(field.attname)
            if value is not None:
                yield field, value


def _concrete(model: type[Model]) -> type[Model]:
    concrete = model._meta.concrete_model
    if concrete is None or concrete._meta.abstract:
        raise ValueError(f"{model.__name__} is abstract; name the models that are made of it.")
    return concrete

"""The ear at Django's model signals. Only models that rules name are listened to, so all others cost nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import ManyToManyField, ManyToManyRel, Model
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save

from cache_admin.caching.commits import Collected, after_commit
from cache_admin.caching.dropping import drop
from cache_admin.caching.relations import with_proxies
from cache_admin.caching.rules import Rule, remember, states

logger = logging.getLogger(__name__)
Work = dict[Rule, Collected]

_rules: dict[str, Rule] = {}
_by_sender: dict[type[Model], list[Rule]] = {}
_columns: dict[type[Model], frozenset[str]] = {}
#: Through model -> its relation, the rules of the side that owns it, and those of the far side.
_links: dict[type[Model], tuple[ManyToManyField[Any, Any], list[Rule], list[Rule]]] = {}


def rules(model: type[Model] | None = None) -> tuple[Rule, ...]:
    """All rules, or those that a change of ``model`` fires."""
    return tuple(_rules.values() if model is None else _by_sender.get(model, ()))


def connect(rule: Rule) -> None:
    """Listens to the models of a rule. ``ValueError`` for a name that is taken."""
    if rule.name in _rules:
        raise ValueError(f"An invalidation rule named {rule.name!r} is registered already.")
    senders = with_proxies(rule.model)
    _rules[rule.name] = rule
    for sender in senders:
        _by_sender.setdefault(sender, []).append(rule)
        post_save.connect(_changed, sender=sender)
        post_delete.connect(_changed, sender=sender)
        if rule.columns:
            _columns[sender] = _columns.get(sender, frozenset()) | rule.columns
            post_init.connect(_made, sender=sender)
    for field, through, owns in _many_to_many(senders):
        _field, near, far = _links.setdefault(through, (field, [], []))
        (near if owns else far).append(rule)
        m2m_changed.connect(_linked, sender=through)


def disconnect(rule: Rule) -> None:
    """Forgets a rule; a model without rules is no longer listened to."""
    _rules.pop(rule.name, None)
    for sender in [sender for sender, kept in _by_sender.items() if rule in kept]:
        kept = _by_sender[sender]
        kept.remove(rule)
        columns = frozenset[str]().union(*(one.columns for one in kept))
        if not columns and _columns.pop(sender, frozenset()):
            post_init.disconnect(_made, sender=sender)
        elif columns:
            _columns[sender] = columns
        if not kept:
            del _by_sender[sender]
            post_save.disconnect(_changed, sender=sender)
            post_delete.disconnect(_changed, sender=sender)
    for through, (_field, near, far) in list(_links.items()):
        for side in (near, far):
            if rule in side:
                side.remove(rule)
        if not near and not far:
            del _links[through]
            m2m_changed.disconnect(_linked, sender=through)


def _many_to_many(
    senders: Iterable[type[Model]],
) -> set[tuple[ManyToManyField[Any, Any], type[Model], bool]]:
    """The relations of models: the field, its through model, and whether the models own it."""
    found: set[tuple[ManyToManyField[Any, Any], type[Model] | None, bool]] = set()
    for sender in senders:
        found |= {(field, field.remote_field.through, True) for field in sender._meta.local_many_to_many}
        found |= {
            (relation.field, relation.through, False)
            for relation in sender._meta.get_fields(include_hidden=True)
            if isinstance(relation, ManyToManyRel)
        }
    return {(field, through, owns) for field, through, owns in found if through}


def report(model: type[Model], pks: Sequence[Any], using: str) -> None:
    """Rows changed of which only the primary keys are known."""
    if pks and (known := rules(model)):
        convert = model._meta.pk.to_python
        _note(using, known, [convert(pk) for pk in pks])


def report_all(rule: Rule, using: str) -> None:
    """Any row may have changed; for a rule whose texts name no field."""

    def collect(work: Work) -> None:
        work.setdefault(rule, Collected()).fill(rule, {})

    after_commit(using, collect, drop)


def _made(sender: type[Model], instance: Model, **kwargs: object) -> None:
    remember(instance, _columns[sender])


def _changed(sender: type[Model], instance: Model, using: str, **kwargs: object) -> None:
    _note(using, _by_sender[sender], [instance])
    if columns := _columns.get(sender):
        remember(instance, columns)


def _linked(
    sender: type[Model],
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str,
    **kwargs: object,
) -> None:
    field, near, far = _links[sender]
    if reverse:
        near, far = far, near
    if action == "pre_clear" and far:
        # Afterwards nobody knows what was linked.
        ours, theirs = field.m2m_field_name(), field.m2m_reverse_field_name()
        if reverse:
            ours, theirs = theirs, ours
        linked = sender._base_manager.using(using).filter(**{ours: instance.pk})
        _note(using, far, list(linked.values_list(theirs, flat=True)))
    elif action == "post_clear":
        _note(using, near, [instance])
    elif action in ("post_add", "post_remove") and pk_set:
        _note(using, near, [instance])
        _note(using, far, list(pk_set))


def _note(using: str, fired: Sequence[Rule], what: Sequence[Any]) -> None:
    """Puts instances or primary keys down for rules."""
    if not fired or not what:
        return

    def collect(work: Work) -> None:
        for rule in fired:
            collected = work.get(rule)
            if collected is None:
                collected = work[rule] = Collected()
            for one in what:
                try:
                    _put_down(collected, rule, one)
                except Exception as error:
                    logger.exception("The invalidation rule %s could not be filled in", rule.name)
                    collected.error = error

    after_commit(using, collect, drop)


def _put_down(collected: Collected, rule: Rule, one: Any) -> None:
    """Puts down what one instance, or the row of one primary key, makes stale."""
    if isinstance(one, rule.model):
        collected.instances[one.pk] = one if rule.callback else None
        for values in states(one):
            collected.fill(rule, values)
        return
    pk = one.pk if isinstance(one, Model) else one
    collected.instances.setdefault(pk, None)
    if rule.needs_instance:
        collected.unread[pk] = None
    else:
        collected.fill(rule, {"pk": pk})

"""Changes wait for the commit: all of one transaction make one pass, those rolled back make none.

Each stack of savepoints has a :class:`Waiting` of its own in Django's ``on_commit`` list, so a rollback takes exactly
its own changes out of that list. The first that Django calls after the commit takes all that are still in the list
along: those are alive, for the list holds the only strong references to them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from cache_admin.caching.rules import Rule
from cache_admin.keys import compile_glob

#: Filled texts of one rule, in order, by kind.
Texts = dict[str, dict[str, None]]


class Collected:
    """What one rule has to do."""

    __slots__ = ("error", "instances", "texts", "unread")

    def __init__(self) -> None:
        self.texts: Texts = {}
        self.instances: dict[Any, Model | None] = {}
        #: Primary keys whose rows have to be read before the texts can be filled.
        self.unread: dict[Any, None] = {}
        self.error: Exception | None = None

    def fill(self, rule: Rule, values: Mapping[str, Any]) -> None:
        for kind, text in rule.fill(values):
            self.texts.setdefault(kind, {})[text] = None

    def join(self, other: Collected) -> None:
        for kind, texts in other.texts.items():
            self.texts.setdefault(kind, {}).update(texts)
        self.instances.update(other.instances)
        self.unread.update(other.unread)
        self.error = self.error or other.error


class Waiting:
    """The changes under one stack of savepoints."""

    def __init__(self, connection: BaseDatabaseWrapper, drop: Drop) -> None:
        self._connection = connection
        self._drop = drop
        self.work: dict[Rule, Collected] = {}

    def __call__(self) -> None:
        work: dict[Rule, Collected] = {}
        for one in _alive(self._connection):
            for rule, collected in one.work.items():
                work.setdefault(rule, Collected()).join(collected)
            one.work = {}
        if work:
            self._drop(work, self._connection.alias)


Drop = Callable[[dict[Rule, Collected], str], None]
_waiting: weakref.WeakKeyDictionary[BaseDatabaseWrapper, dict[tuple[Any, ...], weakref.ref[Waiting]]]
_waiting = weakref.WeakKeyDictionary()


def _alive(connection: BaseDatabaseWrapper) -> list[Waiting]:
    return [one for ref in _waiting.pop(connection, {}).values() if (one := ref()) is not None]


def after_commit(using: str, collect: Callable[[dict[Rule, Collected]], None], drop: Drop) -> None:
    """Lets ``collect`` add to the work of the running transaction; ``drop`` gets all of it, once, after the commit.

    Without a transaction that is now.
    """
    connection = connections[using]
    if not connection.in_atomic_block:
        work: dict[Rule, Collected] = {}
        collect(work)
        drop(work, using)
        return
    stack = tuple(connection.savepoint_ids)
    known = _waiting.setdefault(connection, {})
    waiting = ref() if (ref := known.get(stack)) else None
    if waiting is None or not any(entry[1] is waiting for entry in reversed(connection.run_on_commit)):
        waiting = Waiting(connection, drop)
        known[stack] = weakref.ref(waiting)
        transaction.on_commit(waiting, using=using, robust=True)
    collect(waiting.work)


def pending(using: str, kind: str) -> set[str]:
    """What the running transaction will drop of a kind (``"tags"``), if it is committed."""
    return {text for _rule, collected in _work(connections[using]) for text in collected.texts.get(kind, ())}


def uncommitted(alias: str, key: str, tags: Iterable[str]) -> bool:
    """Whether a transaction of this thread will drop a value from ``alias``, if it is committed.

    What is computed now shows what nobody else may see yet, and what a rollback takes back: it must not be stored.
    """
    if not _waiting:
        return False
    work = [found for one in connections.all(initialized_only=True) for found in _work(one)]
    return any(_drops(rule, collected.texts, alias, key, tags) for rule, collected in work)


def _work(connection: BaseDatabaseWrapper) -> list[tuple[Rule, Collected]]:
    if not connection.in_atomic_block or connection not in _waiting:
        return []
    alive = [one for ref in _waiting[connection].values() if (one := ref()) is not None]
    return [found for one in alive for found in one.work.items()]


def _drops(rule: Rule, texts: Texts, alias: str, key: str, tags: Iterable[str]) -> bool:
    if (drops := getattr(rule.callback, "drops", None)) and drops(alias, key):
        return True
    if rule.alias != alias:
        return False
    if key in texts.get("keys", ()) or not texts.get("tags", {}).keys().isdisjoint(tags):
        return True
    raw = key.encode("utf-8", "surrogateescape")
    return any(compile_glob(glob.encode())(raw) for glob in texts.get("patterns", ()))

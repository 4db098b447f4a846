"""The pass after a commit: callbacks, then one write for all tags of an alias, one for its keys, one scan for its
patterns, and the purge of proxies.

Each of these fails alone: it is logged and told in the figures of the rules that wanted it. Nothing leaves this module.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from itertools import chain

from asgiref.sync import async_to_sync
from django.core.cache import caches

from cache_admin.bookkeeping import unwatched
from cache_admin.caching import purging
from cache_admin.caching.commits import Collected
from cache_admin.caching.locks import lock_key
from cache_admin.caching.patterns import delete_each
from cache_admin.caching.rules import Changes, Rule, Values, count
from cache_admin.caching.signals import rule_fired
from cache_admin.caching.tags import invalidate_tags

logger = logging.getLogger(__name__)


class _Outcome:
    """What one rule has done so far."""

    __slots__ = ("dropped", "error", "seconds")

    def __init__(self, error: Exception | None) -> None:
        self.dropped = 0
        self.seconds = 0.0
        self.error = error


def drop(work: dict[Rule, Collected], using: str) -> None:
    """Does the work of all rules, in one pass."""
    outcomes = {rule: _Outcome(collected.error) for rule, collected in work.items()}
    for rule, collected in work.items():
        if collected.unread:
            _step({rule: outcomes[rule]}, _reading(rule, collected, using))
        if rule.callback:
            _step({rule: outcomes[rule]}, _calling(rule, collected, using))
    for alias in dict.fromkeys(rule.alias for rule in work):
        here = {rule: collected for rule, collected in work.items() if rule.alias == alias}
        for kind, act in _ACTIONS.items():
            wanted = {rule: tuple(texts) for rule, one in here.items() if (texts := one.texts.get(kind))}
            if wanted:
                _step({rule: outcomes[rule] for rule in wanted}, _acting(act, alias, wanted))
    _purge(work, outcomes)
    for rule, outcome in outcomes.items():
        count(rule, outcome.dropped, outcome.seconds, outcome.error)
        rule_fired.send_robust(
            sender=rule.model, rule=rule.name, dropped=outcome.dropped, seconds=outcome.seconds, error=outcome.error
        )


Step = Callable[[], dict[Rule, int]]
Wanted = dict[Rule, tuple[str, ...]]


def _step(outcomes: dict[Rule, _Outcome], step: Step) -> None:
    began = time.perf_counter()
    dropped: dict[Rule, int] = {}
    error = None
    try:
        dropped = step()
    except Exception as failure:
        names = ", ".join(rule.name for rule in outcomes)
        logger.exception("Invalidation rules failed: %s", names)
        error = failure
    seconds = time.perf_counter() - began
    for rule, outcome in outcomes.items():
        outcome.dropped += dropped.get(rule, 0)
        outcome.seconds += seconds
        outcome.error = outcome.error or error


def _reading(rule: Rule, collected: Collected, using: str) -> Step:
    def read() -> dict[Rule, int]:
        for instance in rule.model._base_manager.using(using).filter(pk__in=list(collected.unread)):
            collected.fill(rule, Values(instance))
        return {}

    return read


def _calling(rule: Rule, collected: Collected, using: str) -> Step:
    def call() -> dict[Rule, int]:
        instances = tuple(one for one in collected.instances.values() if one is not None)
        changes = Changes(rule.model, using, tuple(collected.instances), instances)
        result = rule.callback(changes) if rule.callback else 0
        if isawaitable(result):
            result = async_to_sync(_awaited)(result)
        return {rule: result if isinstance(result, int) else 0}

    return call


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def _acting(act: Callable[[str, Wanted], dict[Rule, int]], alias: str, wanted: Wanted) -> Step:
    return lambda: act(alias, wanted)


def _texts(wanted: Wanted) -> dict[str, None]:
    return dict.fromkeys(chain.from_iterable(wanted.values()))


def _each(wanted: Wanted) -> dict[Rule, int]:
    return {rule: len(texts) for rule, texts in wanted.items()}


def _tags(alias: str, wanted: Wanted) -> dict[Rule, int]:
    invalidate_tags(*_texts(wanted), alias=alias)
    return _each(wanted)


def _keys(alias: str, wanted: Wanted) -> dict[Rule, int]:
    cache, keys = caches[alias], _texts(wanted)
    # Without its lock, a computation that began before the change is not stored.
    unwatched(cache).delete_many([lock_key(key) for key in keys])
    cache.delete_many(keys)
    return _each(wanted)


def _patterns(alias: str, wanted: Wanted) -> dict[Rule, int]:
    began = time.perf_counter()
    removed = delete_each(alias, _texts(wanted))
    logger.info(
        "Rules by pattern scanned all keys of %s once: %d patterns, %d keys removed, %.0f ms",
        *(alias, len(removed), sum(removed.values()), (time.perf_counter() - began) * 1000),
    )
    return {rule: sum(removed.get(text, 0) for text in texts) for rule, texts in wanted.items()}


_ACTIONS = {"tags": _tags, "keys": _keys, "patterns": _patterns}


def _purge(work: dict[Rule, Collected], outcomes: dict[Rule, _Outcome]) -> None:
    """Tags go to the proxies as surrogate keys, after the caches: they fetch anew from these."""

    def all_of(kind: str) -> Iterable[str]:
        return chain.from_iterable(collected.texts.get(kind, ()) for collected in work.values())

    urls, tags = list(all_of("urls")), list(all_of("tags"))
    if purging.purge(urls, tags):
        for rule, collected in work.items():
            outcomes[rule].dropped += len(collected.texts.get("urls", ()))

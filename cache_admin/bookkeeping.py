"""The way around whoever watches a cache, for what the application did not ask: locks, stamps, polls and second looks.

``monitoring`` puts watched caches in place of the project's own, ``caching`` keeps books in them, and neither knows the
other. Without this, twenty callers that wait for one value would look like hundreds of misses. Both agree here on who
asks, too.
"""

from __future__ import annotations

from asyncio import _get_running_loop, current_task
from collections.abc import Callable, Hashable
from threading import get_ident, local
from typing import Any, TypeVar
from weakref import ref

from django.core.cache import BaseCache

R = TypeVar("R")
#: The attribute of a watched cache that leads to the one below it, set by its class.
PLAIN = "_watched_plain"


def unwatched(cache: BaseCache) -> BaseCache:
    """The same cache, told to nobody. It is the cache itself where nobody watches."""
    plain: Any = getattr(cache, PLAIN) if hasattr(type(cache), PLAIN) else cache
    return plain  # type: ignore[no-any-return]


class _Thread(local):
    def __init__(self) -> None:
        self.caller: Hashable = get_ident()  #: for whom it works, by itself for itself


thread = _Thread()


def caller() -> Hashable:
    """Who asks: this asyncio task, or whoever handed this call over to the thread, else the thread (an ``int``)."""
    loop = _get_running_loop()  # which raises nothing where there is none
    task = None if loop is None else current_task(loop)
    if task is None:
        return thread.caller
    # Kept for a while, it must not keep the task; nor may another at the same address be taken for it.
    made = ref(task)
    hash(made)  # which it cannot tell later, when the task is gone
    return made


def on_behalf(who: Hashable, call: Callable[..., R], *args: Any) -> R:
    """Makes a call of another caller's, in the thread that it handed it over to."""
    before, thread.caller = thread.caller, who
    try:
        return call(*args)
    finally:
        thread.caller = before

"""``cache_result``: what a function returned last time, for functions, coroutines, methods and class methods."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.utils.translation import gettext as _

from cache_admin.caching.arguments import Binder, KeyMaker, KeyOption, TagsOption, check_fields, tag_maker
from cache_admin.caching.calls import read_call
from cache_admin.caching.compression import Compression, compression
from cache_admin.caching.envelope import MISS, Missing
from cache_admin.caching.fetching import (
    State,
    acall,
    afetch,
    akeep,
    arun,
    dropped,
    fetch,
    fresh_ticket,
    judge,
    keep,
    run,
)
from cache_admin.caching.owners import Owner, register
from cache_admin.caching.storing import Policy, Request
from cache_admin.caching.tags import tag_names

P = ParamSpec("P")
R = TypeVar("R")


#: Types of arguments that are equal only if their keys are, so that a request once made can be used again.
_PLAIN = frozenset({str, int, bool, type(None), datetime.date})
#: Requests that each function remembers: making one takes longer than all else of a hit.
_REMEMBERED = 256


class _Cached(Generic[P]):
    """What cached functions and cached coroutines share."""

    def __init__(self, func: Callable[..., Any], policy: Policy, key: KeyOption, tags: TagsOption, kind: str) -> None:
        functools.update_wrapper(self, func)  # type: ignore[arg-type]
        self.func, self.policy = func, policy
        self.bind = Binder(func)
        texts = [key] if isinstance(key, str) else []
        texts += [] if callable(tags) else [tag for tag in tag_names(tags) if "{" in tag]
        check_fields(func, self.bind.names, texts)
        self._make_key = KeyMaker(func, key, self.bind.names)
        self._make_tags = tag_maker(tags)
        fixed = not callable(key) and not callable(tags)
        self._remembered = functools.lru_cache(_REMEMBERED, typed=True)(self._request) if fixed else None
        self.owner = register(
            Owner(
                name=f"{func.__module__}.{func.__qualname__}",
                kind=kind,
                alias=policy.alias,
                patterns=self._make_key.patterns,
                recompute=self.recompute,
                timeout=policy.timeout,
            )
        )

    def ask(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Request:
        """What a call asks for."""
        if self._remembered and _PLAIN.issuperset(map(type, args)) and _PLAIN.issuperset(map(type, kwargs.values())):
            return self._remembered(*args, **kwargs)
        return self._request(*args, **kwargs)

    def _request(self, *args: Any, **kwargs: Any) -> Request:
        arguments = self.bind(args, kwargs)
        key = self._make_key(arguments, args, kwargs)
        tags = self._make_tags(arguments, args, kwargs) if self._make_tags else ()
        return Request(self.policy, key, tags, arguments, 0, self.owner.name)

    def compute(self, request: Request) -> Any:
        """Calls the function itself."""
        return self.bind.call(self.func, request.arguments or {})

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The user key of a call."""
        return self.ask(args, kwargs).key

    def recompute(self, key: str, call: str) -> Any:
        """A fresh value for the arguments that the entry of a key holds as ``call``, stored nowhere (of a coroutine
        function: a coroutine). Raises ``LookupError`` in words where they are not there or no longer fit."""
        arguments = read_call(call)
        try:
            fits = self._make_key(arguments, (), {}) == key
        except (TypeError, ValueError, LookupError, AttributeError):
            fits = False
        if not fits:
            raise LookupError(_("The arguments that are stored with this value make another key, so they are not its."))
        return self.bind.call(self.func, arguments)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else Bound(self, instance)

    def __reduce__(self) -> str:
        # Copied and pickled as functions are: by name.
        return self.__qualname__  # type: ignore[attr-defined, no-any-return]

    def __repr__(self) -> str:
        return f"<cached {self.owner.name}>"


class CachedFunction(_Cached[P], Generic[P, R]):
    """A function whose results are kept. Made by :func:`cache_result`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        request = self.ask(args, kwargs)
        cache = caches[self.policy.alias]
        found = cache.get_many(request.keys()) or {} if request.tags else {request.key: cache.get(request.key, MISS)}
        state, entry = judge(request, found)
        if state is State.FRESH and entry and not request.uncommitted():
            return entry.value  # type: ignore[no-any-return]
        return fetch(request, functools.partial(self.compute, request), found)  # type: ignore[no-any-return]

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Computes and stores now, whatever is stored and whoever computes."""
        request = self.ask(args, kwargs)
        ticket = run(fresh_ticket(request), self.policy.alias)
        return keep(request, ticket, functools.partial(self.compute, request))  # type: ignore[no-any-return]

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Removes the value of this call; what is being computed for it now is not stored. Whether it was there."""
        return run(dropped(self.key(*args, **kwargs)), self.policy.alias)

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R | Missing:
        """The stored value, or ``MISS`` (which is falsy); computes nothing. A stale value that would be served while
        it is refreshed counts."""
        request = self.ask(args, kwargs)
        entry = judge(request, caches[self.policy.alias].get_many(request.keys()) or {}, early=False)[1]
        return entry.value if entry else MISS


class AsyncCachedFunction(_Cached[P], Generic[P, R]):
    """A coroutine function whose results are kept; :meth:`key` is sync, all else is awaited."""

    def __init__(self, func: Callable[..., Any], policy: Policy, key: KeyOption, tags: TagsOption, kind: str) -> None:
        super().__init__(func, policy, key, tags, kind)
        markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        request = self.ask(args, kwargs)
        found = await acall(caches[self.policy.alias], "get_many", request.keys()) or {}
        state, entry = judge(request, found)
        if state is State.FRESH and entry and not request.uncommitted():
            return entry.value  # type: ignore[no-any-return]
        return await afetch(request, functools.partial(self.compute, request), found)  # type: ignore[no-any-return]

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See :meth:`CachedFunction.refresh`."""
        request = self.ask(args, kwargs)
        ticket = await arun(fresh_ticket(request), self.policy.alias)
        return await akeep(request, ticket, functools.partial(self.compute, request))  # type: ignore[no-any-return]

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """See :meth:`CachedFunction.invalidate`."""
        return await arun(dropped(self.key(*args, **kwargs)), self.policy.alias)

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> R | Missing:
        """See :meth:`CachedFunction.peek`."""
        request = self.ask(args, kwargs)
        found = await acall(caches[self.policy.alias], "get_many", request.keys()) or {}
        entry = judge(request, found, early=False)[1]
        return entry.value if entry else MISS


class Bound:
    """A cached method and its instance or class: ``.key``, ``.refresh``, ``.invalidate`` and ``.peek`` know it too."""

    def __init__(self, cached: _Cached[Any], first: object) -> None:
        self.cached = cached
        self.__self__ = first
        if iscoroutinefunction(cached):
            markcoroutinefunction(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.cached(self.__self__, *args, **kwargs)  # type: ignore[operator]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.cached, name)
        return functools.partial(found, self.__self__) if name in _OF_A_CALL else found


_OF_A_CALL = frozenset({"key", "refresh", "invalidate", "peek"})


class BoundToClass:
    """``@cache_result`` around ``@classmethod``: binds the class, also when looked up on an instance."""

    def __init__(self, cached: _Cached[Any]) -> None:
        self.cached = cached

    def __get__(self, instance: object, owner: type) -> Bound:
        return Bound(self.cached, owner)


class Decorate(Protocol):
    """The decorator that :func:`cache_result` returns."""

    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncCachedFunction[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...


def cache_result(
    timeout: float | None,
    key: KeyOption = None,
    alias: str = DEFAULT_CACHE_ALIAS,
    tags: TagsOption = (),
    lock: bool = True,
    stale: float = 0,
    jitter: float = 0,
    *,
    beta: float = 0,
    compress: bool | Compression = False,
    lock_timeout: float = 10,
    wait: float | None = None,
) -> Decorate:
    """Keeps what a function returns for ``timeout`` seconds, for each set of arguments apart.

    ``None`` is a result; exceptions are not kept; querysets and generators become lists. On a method that is also a
    classmethod or staticmethod, write ``@cache_result`` above. ``key`` names the family or the whole key, see
    :class:`~cache_admin.caching.arguments.KeyMaker`; ``tags`` are templates such as ``"product:{pk}"`` or a function of
    the arguments; the rest is described at :class:`~cache_admin.caching.storing.Policy`.
    """
    packing = compression(compress)
    policy = Policy(timeout, alias, stale, jitter, beta, lock, lock_timeout, wait, packing)
    return functools.partial(decorated, policy=policy, key=key, tags=tags, kind="function")


def decorated(
    func: Any,
    *,
    policy: Policy,
    key: KeyOption,
    tags: TagsOption,
    kind: str,
    made: tuple[type[_Cached[Any]], type[_Cached[Any]]] = (CachedFunction, AsyncCachedFunction),
) -> Any:
    """The cached form of a function, coroutine function, classmethod or staticmethod. ``made`` are the classes for
    sync and async functions."""
    inner = func.__func__ if isinstance(func, classmethod | staticmethod) else func
    cached = made[iscoroutinefunction(inner)](inner, policy, key, tags, kind)
    if isinstance(func, classmethod):
        return BoundToClass(cached)
    return staticmethod(cached) if isinstance(func, staticmethod) else cached  # type: ignore[arg-type]

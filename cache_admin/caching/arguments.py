"""From the arguments of a call to its key, quickly: this runs on every hit."""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Model

from cache_admin.caching.keys import clean_prefix, shorten, spell
from cache_admin.caching.tags import tag_names

_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
#: ``key=`` as users write it: a prefix, a template with ``{argument}`` fields, or a function of the arguments.
KeyOption = str | Callable[..., str] | None
#: ``tags=``: templates with ``{argument}`` fields, or a function of the arguments.
TagsOption = Sequence[str] | Callable[..., Iterable[str]]


class Binder:
    """Binds arguments to the parameters of a function, defaults included, so that ``f(1)`` and ``f(1, limit=10)`` are
    one call. The result is a dict in the order of the parameters."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.signature = inspect.signature(func)
        parameters = self.signature.parameters.values()
        self.names = tuple(parameter.name for parameter in parameters)
        self._positional = sum(parameter.kind is _PLAIN[0] for parameter in parameters)
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self._simple = all(parameter.kind in _PLAIN for parameter in parameters)

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ``TypeError`` as the function itself would."""
        if self._simple and len(args) <= self._positional:
            given = dict(zip(self.names, args, strict=False))
            named = 0
            for name in self.names[len(args) :]:
                if name in kwargs:
                    given[name] = kwargs[name]
                    named += 1
                elif name in self._defaults:
                    given[name] = self._defaults[name]
            if named == len(kwargs) and len(given) == len(self.names):
                return given
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def call(self, func: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Calls ``func`` with arguments that were bound before."""
        bound = inspect.BoundArguments(self.signature, dict(arguments))
        return func(*bound.args, **bound.kwargs)


class KeyMaker:
    """The keys of one function, and the globs of user keys that all of them match.

    Without ``key`` the family is ``<module>.<qualname>``; a ``key`` without fields takes its place; one with fields
    (``"user:{user.pk}:stats"``) is the whole key, each field spelled as keys are; a function returns the whole key.
    """

    def __init__(self, func: Callable[..., Any], key: KeyOption, names: Sequence[str]) -> None:
        self._function = key if callable(key) else None
        self._fields = fields_of(key) if isinstance(key, str) else ()
        if self._fields:
            self.family = clean_prefix(self._fields[0][0].rstrip(":") or func.__qualname__)
        else:
            self.family = clean_prefix(key if isinstance(key, str) else f"{func.__module__}.{func.__qualname__}")
        self._labels = {name: f":{spell(name)}:" for name in names}
        self.patterns = self._patterns()

    def _patterns(self) -> tuple[str, ...]:
        if self._function:
            return ()
        if self._fields:
            whole = "".join(_fixed(text) + "*" * bool(field) for text, field in self._fields)
            return whole, f"{self.family}:~*"
        return (f"{self.family}:*",) if self._labels else (self.family,)

    def __call__(self, arguments: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """``arguments`` are ``args`` and ``kwargs``, bound."""
        if self._function:
            return self._function(*args, **kwargs)
        if self._fields:
            parts = (
                _fixed(text) + (spell(field_in(field, arguments)) if field else "") for text, field in self._fields
            )
            return shorten("".join(parts), self.family)
        key, labels = self.family, self._labels
        for name, value in arguments.items():
            key += labels[name] + (spell(value) if name != "self" else _spell_self(value))
        return shorten(key, self.family)


def tag_maker(
    tags: TagsOption,
) -> Callable[[Mapping[str, Any], tuple[Any, ...], Mapping[str, Any]], tuple[str, ...]] | None:
    """A function from a call's arguments to its tags; ``None`` where there are none."""
    if callable(tags):
        return lambda arguments, args, kwargs: tag_names(tags(*args, **kwargs))
    names = tag_names(tags)
    if not any("{" in name for name in names):
        return (lambda arguments, args, kwargs: names) if names else None
    return lambda arguments, args, kwargs: tuple(dict.fromkeys(name.format_map(arguments) for name in names))


def check_fields(func: Callable[..., Any], names: Sequence[str], templates: Iterable[str]) -> None:
    """Raises ``ValueError`` for a template with a field that is no argument: else it would fail at the first call."""
    for template in templates:
        for _text, field, _spec, _conversion in string.Formatter().parse(template):
            if field is not None and (root := re.split(r"[.\[]", field, maxsplit=1)[0]) not in names:
                known = ", ".join(names) or "none"
                raise ValueError(
                    f"{template!r} names {{{root}}}, which is no argument of {func.__qualname__}; they are: {known}."
                )


def fields_of(template: str) -> tuple[tuple[str, str], ...]:
    """The ``(text before, field)`` pairs of a template that has fields; nothing for one that has none."""
    parsed = [(text, field or "") for text, field, _spec, _conversion in string.Formatter().parse(template)]
    return tuple(parsed) if any(field for _text, field in parsed) else ()


def field_in(field: str, arguments: Mapping[str, Any]) -> Any:
    """The value of ``user.pk`` among arguments."""
    return string.Formatter().get_field(field, (), arguments)[0]


def _fixed(text: str) -> str:
    return clean_prefix(text) if text else ""


def _spell_self(value: object) -> str:
    """The instance of a method: a saved model, or one without state, of which the class says all."""
    if isinstance(value, Model):
        return spell(value)
    if getattr(value, "__dict__", None) or getattr(value, "__slots__", None):
        raise TypeError(
            f"{type(value).__qualname__} has a state that no key can be made of: give key= to the decorator, with what "
            "the result depends on, such as key='prices:{self.region}:{product_id}'."
        )
    return spell(type(value))

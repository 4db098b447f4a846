"""``{% load cache_admin_caching %}``: an included template and a computed value, kept in a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import template
from django.template import Context, Template, TemplateSyntaxError, Variable, VariableDoesNotExist
from django.template.base import FilterExpression, Parser, Token, kwarg_re
from django.utils.module_loading import import_string

from cache_admin.caching.fragments import UNLIKE, part, part_key

register = template.Library()
_OPTIONS = ("using", "tags")


class _Part(template.Node):
    """What both tags have: ``key timeout``, positional and named values, and options."""

    def __init__(self, parser: Parser, token: Token, words: Sequence[str]) -> None:
        self.tag = token.split_contents()[0]
        self.values: list[FilterExpression] = []
        self.named: dict[str, FilterExpression] = {}
        for word in words:
            match = kwarg_re.match(word)
            name, text = match.groups() if match else ("", word)
            if name:
                self.named[name] = parser.compile_filter(text)
            else:
                self.values.append(parser.compile_filter(text))
        if len(self.values) < 2:
            raise TemplateSyntaxError(f"{{% {self.tag} %}} needs a key and a time-out.")
        self.options = {name: self.named.pop(name) for name in _OPTIONS if name in self.named}

    def keep(
        self, context: Context, compute: Callable[[list[Any], dict[str, Any]], Any], kind: str, user: Any = None
    ) -> Any:
        key, timeout, *values = [value.resolve(context) for value in self.values]
        named = {name: value.resolve(context) for name, value in self.named.items()}
        options = {name: value.resolve(context) for name, value in self.options.items()}
        tags = options.get("tags") or ()
        return part(
            part_key(kind, str(key), values, named, user=user),
            self._seconds(timeout),
            lambda: compute(values, named),
            tags=tags.split() if isinstance(tags, str) else list(tags),
            alias=options.get("using"),
        )

    def _seconds(self, timeout: Any) -> float | None:
        try:
            return None if timeout is None else int(timeout)
        except (TypeError, ValueError):
            raise TemplateSyntaxError(f"{{% {self.tag} %}} got {timeout!r} for a time-out in seconds.") from None


class IncludeNode(_Part):
    """See :func:`cache_include`."""

    def __init__(self, parser: Parser, token: Token) -> None:
        _tag, *words = token.split_contents()
        self.per_user = "per_user" in words
        words = [word for word in words if word != "per_user"]
        if not words:
            raise TemplateSyntaxError("{% cache_include %} needs a template, a key and a time-out.")
        super().__init__(parser, token, words[1:])
        if len(self.values) > 2:
            raise TemplateSyntaxError("{% cache_include %} takes variables by name: product=product.")
        self.template = parser.compile_filter(words[0])

    def render(self, context: Context) -> str:
        user = self._user(context) if self.per_user else None

        def compute(values: list[Any], named: dict[str, Any]) -> str:
            inside = Context(named, autoescape=context.autoescape, use_l10n=context.use_l10n, use_tz=context.use_tz)
            if user is not None:
                inside["user"] = user
            return self._template(context).render(inside)

        return str(self.keep(context, compute, _kind(context), user))

    def _user(self, context: Context) -> Any:
        user = context.get("user") or getattr(context.get("request"), "user", None)
        if user is None:
            raise TemplateSyntaxError("{% cache_include ... per_user %} finds no user in the context.")
        return user

    def _template(self, context: Context) -> Template:
        found = self.template.resolve(context)
        if isinstance(found, Template):
            return found
        engine = context.template.engine  # type: ignore[union-attr]
        return engine.get_template(found) if isinstance(found, str) else engine.select_template(found)


def _kind(context: Context) -> str:
    """The family of an included part. A text that was made without escaping, or without the formats or the time zone of
    the reader, must not come up where those are wanted."""
    unlike = (not context.autoescape, context.use_l10n is False, context.use_tz is False)
    return "include" + "".join(mark for mark, off in zip(UNLIKE, unlike, strict=True) if off)


class ValueNode(_Part):
    """See :func:`cached_value`."""

    def __init__(self, parser: Parser, token: Token) -> None:
        _tag, *words = token.split_contents()
        if len(words) < 5 or words[-2] != "as":
            raise TemplateSyntaxError("Write {% cached_value key timeout callable arguments... as name %}.")
        self.name = words[-1]
        self.callable = words[2]
        super().__init__(parser, token, [*words[:2], *words[3:-2]])

    def render(self, context: Context) -> str:
        def compute(values: list[Any], named: dict[str, Any]) -> Any:
            return self._callable(context)(*values, **named)

        context[self.name] = self.keep(context, compute, "value")
        return ""

    def _callable(self, context: Context) -> Callable[..., Any]:
        """Looked up by hand: Django's own look-up would call it."""
        if self.callable[0] in "\"'":
            found = import_string(self.callable[1:-1])
        else:
            head, _dot, last = self.callable.rpartition(".")
            try:
                found = _attribute(Variable(head).resolve(context), last) if head else context[last]
            except (KeyError, VariableDoesNotExist):
                raise TemplateSyntaxError(f"{{% cached_value %}} finds no {self.callable} in the context.") from None
        if not callable(found) or getattr(found, "alters_data", False):
            raise TemplateSyntaxError(f"{{% cached_value %}} cannot call {self.callable}.")
        return found  # type: ignore[no-any-return]


def _attribute(owner: Any, name: str) -> Any:
    if name.startswith("_"):
        return None
    try:
        return owner[name]
    except (TypeError, LookupError):
        return getattr(owner, name, None)


@register.tag
def cache_include(parser: Parser, token: Token) -> IncludeNode:
    """``{% cache_include "card.html" "card" 300 product=product [per_user] [tags=...] [using="alias"] %}``

    Renders a template with the named variables alone, and keeps the text for ``timeout`` seconds (``None``: for ever).
    Nothing else of the page is visible inside: no request, user, messages or CSRF token can get under a shared key.
    ``per_user`` makes the text one user's own and ``user`` visible.
    """
    return IncludeNode(parser, token)


@register.tag
def cached_value(parser: Parser, token: Token) -> ValueNode:
    """``{% cached_value "best" 300 shop.best_sellers 10 category=category [tags=...] [using="alias"] as best %}``

    Calls what stands in the context under a name, or a quoted dotted path, keeps the result and names it. ``None`` is
    a result.
    """
    return ValueNode(parser, token)

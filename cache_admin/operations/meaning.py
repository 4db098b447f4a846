"""Invalidating by meaning: a page by its URL, a fragment by its name, an object, a tag, all about a user.

Each becomes exact keys, globs and tags of one alias (:func:`meant`), and goes the way of every invalidation from there:
plan, confirmation, one operation for each alias with its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.cache.utils import make_template_fragment_key
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model
from django.utils.translation import gettext as _

from cache_admin.adapters import adapter
from cache_admin.caching.fragments import PART_KINDS, fragment_glob
from cache_admin.caching.invalidation import Rule, cache_invalidator
from cache_admin.caching.keys import clean_prefix, spell
from cache_admin.caching.pages import places
from cache_admin.caching.patterns import can_list
from cache_admin.caching.relations import family, tag_of
from cache_admin.caching.rules import Values
from cache_admin.caching.tags import tag_key
from cache_admin.exceptions import InvalidPattern, Unsupported
from cache_admin.monitoring.database import REFUSALS, looking
from cache_admin.operations import customers, purge
from cache_admin.operations.base import Plan
from cache_admin.operations.runner import User
from cache_admin.operations.targets import Meant, Target


@dataclass(frozen=True, slots=True)
class Meaning:
    """What was typed. ``more`` are the values that a fragment varies on, or further tags; ``host`` is the site's, for
    pages that are named by their path alone."""

    kind: str
    text: str
    more: tuple[str, ...] = ()
    host: str = ""


def plan(alias: str, meaning: Meaning, user: User | None, **options: Any) -> Plan:
    """What invalidating it would do in one alias; ``options`` and errors as for :func:`purge.plan`."""
    return purge.plan(alias, meant(alias, meaning), user, **options)


def does_something(plan: Plan) -> bool:
    """Whether there is anything to confirm. A sample that met no key may have missed some."""
    return bool(plan.keys or plan.params.get("tags") or plan.params.get("urls") or not plan.exact)


def meant(alias: str, meaning: Meaning) -> Meant:
    """What a meaning comes to in one alias; keys need not be there.

    Raises :class:`InvalidPattern` for what is no such thing, :class:`Unsupported` where the alias can neither list its
    keys nor tell them by name.
    """
    if not meaning.text:
        raise InvalidPattern(_("Nothing is chosen. Type what is to be invalidated."))
    if "\0" in "".join((meaning.text, *meaning.more)):
        raise InvalidPattern(_("Nothing has a NUL character in its name. Nothing was changed."))
    found = KINDS[meaning.kind](alias, meaning)
    globs = [target for target in found.targets if target.meaning == "glob"]
    if not globs or can_list(alias):
        return found
    exact = tuple(target for target in found.targets if target.meaning == "literal")
    if not exact and not found.tags:
        text = _("%(alias)s: cannot list its keys, so %(named)s cannot be found. Code of the site can remove it.")
        raise Unsupported(text % {"alias": alias, "named": found.named})
    note = _("%(alias)s cannot list its keys, so only exact keys and tags are meant.") % {"alias": alias}
    return replace(found, targets=exact, notes=(*found.notes, note))


def _page(alias: str, meaning: Meaning) -> Meant:
    host, path = _address(meaning.text)
    known = (host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*")))
    hosts = [host] if host else list(dict.fromkeys(filter(None, (meaning.host, *known))))
    found = (place for one in hosts for place in places(f"//{one}{path}"))
    globs = dict.fromkeys(glob for place in found for glob in place.globs(None))
    return Meant(_("the page %s") % (host + path), tuple(map(Target.glob, globs)))


def _address(url: str) -> tuple[str, str]:
    """The host of an address as browsers send it, "" where there is only a path; and its path with the query."""
    wrong = InvalidPattern(_("Type the path of the page, such as /products/7/, or its whole address."))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    if not parts.netloc and url.startswith("/"):
        return "", url
    if parts.scheme not in {"", "http", "https"} or not host:
        raise wrong
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    if port not in (None, {"http": 80, "https": 443}.get(parts.scheme)):
        host += f":{port}"
    return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _fragment(alias: str, meaning: Meaning) -> Meant:
    if meaning.more:
        key = make_template_fragment_key(meaning.text, meaning.more)
        return Meant(_("one version of the fragment %s") % meaning.text, (Target.literal(key),))
    # Parts kept by {% cache_include %} and {% cached_value %}, for everybody and for one user.
    families = [f"{start}{kind}:{clean_prefix(meaning.text)}" for start in ("", "user:*:") for kind in PART_KINDS]
    globs = [fragment_glob(meaning.text), *families, *(f"{family}:*" for family in families)]
    return Meant(_("the fragment %s") % meaning.text, tuple(map(Target.glob, globs)))


def _tag(alias: str, meaning: Meaning) -> Meant:
    tags = (meaning.text, *filter(None, meaning.more))
    return Meant(_("the tag %s") % ", ".join(tags), tags=_carried(alias, tags))


def _carried(alias: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Those that a value in the cache may carry: without a counter every value of a tag is stale already."""
    cache = adapter(alias)
    return tuple(tag for tag in dict.fromkeys(tags) if cache.exists(tag_key(tag)))


def _object(alias: str, meaning: Meaning) -> Meant:
    model, pk = _model_and_pk(meaning.text)
    instance = _row(model, pk)
    texts: dict[str, dict[str, None]] = {"tags": {}, "keys": {}, "patterns": {}, "urls": {}}
    notes = []
    for one in family(model):
        texts["tags"] |= dict.fromkeys((tag_of(one), tag_of(one, pk)))
        texts["patterns"] |= dict.fromkeys(f"{start}{tag_of(one)}:{spell(pk)}:*" for start in ("", "v*:"))
    for rule in cache_invalidator.rules(model):
        if rule.alias != alias:
            continue
        if rule.callback:
            notes.append(_("The rule %s calls a function, which happens only when the object is saved.") % rule.name)
        try:
            for kind, text in _filled(rule, pk, instance):
                texts[kind][text] = None
        except (LookupError, AttributeError, TypeError, ValueError, ObjectDoesNotExist) as error:
            reason = str(error) if isinstance(error, _Unknown) else f"{type(error).__name__}: {error}"
            text = _("The rule “%(rule)s” cannot be filled in for it: %(reason)s")
            notes.append(text % {"rule": rule.name, "reason": reason})
    return Meant(
        _("the object %s") % meaning.text,
        (*map(Target.literal, texts["keys"]), *map(Target.glob, texts["patterns"])),
        _carried(alias, texts["tags"]),
        tuple(texts["urls"]),
        tuple(notes),
    )


def _model_and_pk(text: str) -> tuple[type[Model], Any]:
    label, _colon, given = text.partition(":")
    try:
        model = apps.get_model(label.strip())
    except (LookupError, ValueError):
        raise InvalidPattern(_("Type the object as app.model:primary key, such as shop.product:7.")) from None
    try:
        pk = model._meta.pk.to_python(given.strip()) if given.strip() else None
    except ValidationError:
        pk = None
    if pk is None:
        raise InvalidPattern(_("%(text)s is no primary key of %(model)s.") % {"text": given, "model": label})
    return model, pk


def _row(model: type[Model], pk: Any) -> Model | None:
    """The object, or ``None`` where it is gone. Raises :class:`InvalidPattern` where no rows can be read at all."""
    rows = model._base_manager.all()
    try:
        with looking(rows.db):
            return rows.filter(pk=pk).first()
    except REFUSALS as error:
        text = _("The rows of %(model)s cannot be read (%(error)s).")
        raise InvalidPattern(text % {"model": model._meta.label, "error": type(error).__name__}) from error


class _Unknown(LookupError):
    """A rule wants to know more of an object than there is; in words for people."""


def _filled(rule: Rule, pk: Any, instance: Model | None) -> Iterable[tuple[str, str]]:
    if instance is not None:
        return list(rule.fill(Values(instance)))
    if rule.needs_instance:
        raise _Unknown(_("it names more than the primary key, and the object is not in the database."))
    return list(rule.fill({"pk": pk}))


def _user(alias: str, meaning: Meaning) -> Meant:
    return customers.meant(alias, meaning.text)


#: In the order in which a form offers them.
KINDS: dict[str, Callable[[str, Meaning], Meant]] = {
    "page": _page,
    "fragment": _fragment,
    "object": _object,
    "user": _user,
    "tag": _tag,
}

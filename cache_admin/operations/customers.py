"""Everything that is cached about one user: keys, pages, fragments; and how many sessions, which are left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.cache.utils import make_template_fragment_key
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.adapters import adapter
from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.caching.keys import spell
from cache_admin.caching.pages import Place
from cache_admin.caching.patterns import can_list
from cache_admin.caching.views import user_prefix
from cache_admin.exceptions import CacheAdminError, InvalidPattern, KeyChanges, NotPermitted
from cache_admin.keys import escape_glob
from cache_admin.keyspace import reports
from cache_admin.operations.targets import Meant, Target
from cache_admin.values.codecs import decode
from cache_admin.values.parts import Container, pairs
from cache_admin.values.tree import Budget

#: Names of fragments that are tried with the user as what they vary on.
_MOST_FRAGMENTS = 40
#: Seconds of looking into sessions.
_BUDGET = 0.5
_SESSION_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions of one user among those looked at. ``whole`` says that these were all."""

    found: int
    looked: int
    whole: bool


def meant(alias: str, text: str) -> Meant:
    """What is known to be about a user, named by primary key, user name or e-mail address. Raises
    :class:`InvalidPattern` for nobody; a primary key need not be in the database any more."""
    pk, user = who(text)
    names = _fragment_names(alias)
    literals = [f"user:{spell(pk)}", *_fragments(names, str(pk))]
    if user is not None:
        literals += _fragments(names, user.get_username())  # type: ignore[attr-defined]
    globs = [*_key_globs(pk), *_page_globs(pk)]
    # The record names nobody: it outlives the account.
    known = [_("User %(pk)s is %(name)s.") % {"pk": pk, "name": user}] if user else []
    return Meant(
        _("user %s") % pk,
        (*map(Target.literal, dict.fromkeys(literals)), *map(Target.glob, dict.fromkeys(globs))),
        notes=(*known, *_namesakes(text, pk), *_about_fragments(alias, names, pk), *_about_sessions(alias, pk)),
    )


def who(text: str) -> tuple[Any, Model | None]:
    """Primary key and row of the user that is meant."""
    model: Any = get_user_model()
    typed = _typed(text)
    try:
        pk = model._meta.pk.to_python(typed)
    except ValidationError:
        pk = None
    else:
        if pk is not None and typed:
            return pk, model._base_manager.filter(pk=pk).first()
    # PostgreSQL takes no NUL in a text.
    for found in _named(typed) if "\0" not in typed else ():
        if len(found) == 1:
            return found[0].pk, found[0]
        if found:
            raise InvalidPattern(_("More than one user has the name or address %s. Type the number of one.") % typed)
    raise InvalidPattern(_("No user has the number, name or address %s.") % text)


def _typed(text: str) -> str:
    return text.strip().removeprefix("user:").strip()


def _named(typed: str) -> Iterator[list[Any]]:
    """Users of a name, then of an address; of many the first two."""
    model: Any = get_user_model()
    known = {field.name for field in model._meta.concrete_fields}
    for name in dict.fromkeys((model.USERNAME_FIELD, model.get_email_field_name())):
        if name in known and typed:
            yield list(model._base_manager.filter(**{name: typed})[:2])


def _namesakes(text: str, pk: Any) -> Iterator[str]:
    """Somebody else may be called what is taken for a number here."""
    for user in (user for found in _named(_typed(text)) for user in found if user.pk != pk):
        yield _("Another user is called %(name)s, with the number %(pk)s.") % {"name": _typed(text), "pk": user.pk}


def _key_globs(pk: Any) -> Iterator[str]:
    """Keys of the builder (``user:42:…``), keys that others made in the same way, and calls with the user."""
    name, label = spell(pk), get_user_model()._meta.label_lower
    yield f"user:{name}:*"
    for named in (f"user:{name}", f"user_id:{name}"):
        yield f"*:{named}"
        yield f"*:{named}:*"
    yield f"*[:(,=]{label}({name})*"
    yield from (f"{start}{label}:{name}:*" for start in ("", "v*:"))


def _page_globs(pk: Any) -> Iterator[str]:
    """Pages of ``cache_per_user`` under every URL: what differs between the names of two URLs is left open."""
    one, other = (Place("http", "site", path, "").globs(None) for path in ("/one", "/other"))
    prefix = escape_glob(user_prefix(pk).encode()).decode()
    for first, second in zip(one, other, strict=True):
        parts = [a if a == b else "*" for a, b in zip(first.split("."), second.split("."), strict=True)]
        # The first star stands for the prefix.
        at = parts.index("*")
        for wanted in (prefix, f"{prefix}:*"):
            yield ".".join([*parts[:at], wanted, *parts[at + 1 :]])


def _fragment_names(alias: str) -> list[str]:
    """Names of the fragments met in the cache."""
    if not can_list(alias):
        return []
    try:
        patterns = reports.current(alias).patterns
    except CacheAdminError:
        return []
    names = [name for stats in patterns if stats.family == "fragment" for name in _names(alias, stats.examples)]
    return list(dict.fromkeys(names))[:_MOST_FRAGMENTS]


def _fragments(names: list[str], value: str) -> list[str]:
    """Keys of the versions that vary on this value alone."""
    return [make_template_fragment_key(name, [value]) for name in names]


def _about_fragments(alias: str, names: list[str], pk: Any) -> Iterator[str]:
    """A key of a fragment does not tell whose number it varies on."""
    cache = adapter(alias)
    found = [name for name, key in zip(names, _fragments(names, str(pk)), strict=True) if cache.exists(key)]
    if found:
        text = _(
            "Fragments with a version for %(pk)s: %(names)s. If one varies on something else than the user, what goes "
            "is that thing's version, which is drawn anew."
        )
        yield text % {"pk": pk, "names": ", ".join(found)}


def _names(alias: str, examples: tuple[bytes, ...]) -> Iterator[str]:
    shape = make_template_fragment_key("\0")
    start = shape.partition("\0")[0]
    strip = adapter(alias).codec.strip
    for raw in examples:
        name = strip(raw).decode("utf-8", "replace").removeprefix(start)
        yield name.rpartition(".")[0]


def _about_sessions(alias: str, pk: Any) -> Iterator[str]:
    prefix = _session_prefix(alias)
    if not prefix or not can_list(alias):
        return
    try:
        seen = sessions(adapter(alias), prefix, str(pk))
    except (NotPermitted, KeyChanges) as error:
        yield _("Sessions of this user are not known: %(why)s They stay.") % {"why": about(error)}
        return
    values = {"found": words.number(seen.found), "looked": words.number(seen.looked)}
    if seen.whole:
        yield _("Sessions of this user: %(found)s. They stay: they are protected, and no cached data.") % values
    else:
        text = _("Sessions of this user: %(found)s among the first %(looked)s. They stay: they are protected.")
        yield text % values


def _session_prefix(alias: str) -> str:
    """What the keys of sessions in this alias begin with; "" where it holds none."""
    if (
        settings.SESSION_ENGINE.rpartition(".")[2] not in {"cache", "cached_db"}
        or alias != settings.SESSION_CACHE_ALIAS
    ):
        return ""
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore
    return str(store.cache_key_prefix)


def sessions(cache: Adapter, prefix: str, pk: str) -> Sessions:
    """Counts the sessions of one user, reading them without running any, for about half a second."""
    began = time.monotonic()
    found = looked = 0
    glob = cache.codec.glob(escape_glob(prefix.encode()).decode() + "*")
    with closing(cache.walk(lambda keys: (), glob=glob)) as pages:
        for page in pages:
            for raw in page.keys:
                looked += 1
                found += _is_of(cache, raw, pk)
                if time.monotonic() - began > _BUDGET:
                    return Sessions(found, looked, whole=False)
    return Sessions(found, looked, whole=True)


def _is_of(cache: Adapter, raw: bytes, pk: str) -> bool:
    item = decode(cache.read(raw, limit=_SESSION_BYTES).data, cache.storage, Budget()).item
    if not isinstance(item, Container) or item.kind != "dict":
        return False
    return any(key == SESSION_KEY and value == pk for key, value in pairs(item.items))

"""Well-known keys: who writes them, and what to call them. Recognised by name alone, on user keys and on raw ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from cache_admin import conf
from cache_admin.keys import compile_glob, show
from cache_admin.patterns import CUT

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of key. ``name`` is its identity in ``PROTECTED_FAMILIES``; several programs may share one."""

    name: str
    title: _StrPromise
    rule: bytes  #: regular expression, matched at the start of a key; a group ``name`` goes into ``named``
    named: _StrPromise | None = None
    owner: str = ""  #: the program that writes such keys beside a cache, e.g. "Celery"


_MD5 = rb"[0-9a-f]{32}"
_SESSION = rb"[0-9a-z]{20,40}$"

FAMILIES: tuple[Family, ...] = (
    Family(
        "cache_page",
        _("Cached pages"),
        rb"views\.decorators\.cache\.cache_page\.(?P<name>.*)\.(?:GET|HEAD)\." + _MD5 + rb"\." + _MD5,
        _("Cached pages, prefix “%s”"),
    ),
    Family(
        "cache_header",
        _("Headers that cached pages vary on"),
        rb"views\.decorators\.cache\.cache_header\.(?P<name>.*)\." + _MD5 + rb"(?:\.|$)",
        _("Headers that cached pages vary on, prefix “%s”"),
    ),
    Family(
        "fragment",
        _("Template fragments"),
        rb"template\.cache\.(?P<name>.*)\." + _MD5 + b"$",
        _("Template fragment “%s”"),
    ),
    Family("session", _("Sessions"), rb"django\.contrib\.sessions\.(?:cache|cached_db)" + _SESSION),
    Family("throttle", _("REST throttles"), rb"throttle_(?P<name>.+)_[^_]*$", _("REST throttle “%s”")),
    Family("throttle", _("Rate limits"), rb"(?:rl:" + _MD5 + rb"$|allauth:rl:|axes-[0-9a-f]{32,64}$)"),
    Family("queue", _("Celery results"), rb"celery-task(?:set)?-meta-", owner="Celery"),
    Family(
        "queue",
        _("Celery queues"),
        rb"(?:_kombu\.binding\.|unacked(?:_index|_mutex)?$|celery(?:\x06\x16\d)?$|[^:]*\x06\x16\d$"
        rb"|.*\bcelery\.pidbox$|redbeat:)",
        owner="Celery",
    ),
    Family("queue", _("RQ jobs and queues"), rb"rq:", owner="RQ"),
    Family("queue", _("Channel layer"), rb"asgi(?::|__)", owner="Channels"),
    Family("queue", _("Dramatiq queues"), rb"dramatiq:", owner="Dramatiq"),
    Family("queue", _("Huey queues"), rb"huey\.(?:redis|results|schedule)\.", owner="Huey"),
    Family("lock", _("Locks"), rb"(?:locks?[:.]|.*[:._-]locks?$)"),
    Family("setting", _("Live settings (constance)"), rb"constance:"),
    Family("flag", _("Feature flags (waffle)"), rb"waffle:"),
    Family("thumbnail", _("Thumbnails (sorl)"), rb"sorl-thumbnail\|\|"),
    Family("widget", _("Form widgets (select2)"), rb"select2_"),
    Family("rendition", _("Image renditions (Wagtail)"), rb"wagtail-rendition-"),
)

_RULES = [re.compile(family.rule, re.DOTALL) for family in FAMILIES]
_ANY = re.compile(
    b"|".join(b"(" + family.rule.replace(b"?P<name>", b"?:") + b")" for family in FAMILIES), re.DOTALL
)  # fmt: skip


def family(name: bytes) -> Family | None:
    """The family of a user key, or of a raw key that is no cache's."""
    found = _ANY.match(name[:CUT])
    return FAMILIES[found.lastindex - 1] if found and found.lastindex else None


def title(name: bytes) -> str:
    """Words for the family of a key, with the part of the key that names it: "Template fragment “sidebar”"."""
    if (kind := family(name)) is None:
        return ""
    found = _RULES[FAMILIES.index(kind)].match(name[:CUT]) if kind.named else None
    return str(kind.named) % show(found["name"]) if found and found["name"] else str(kind.title)


def protected(name: bytes) -> bool:
    """Whether the settings protect a user key (bytes) from being changed without a permission of its own."""
    kind = family(name)
    settings = conf.current()
    if kind and kind.name in settings.PROTECTED_FAMILIES:
        return True
    return any(compile_glob(glob.encode("utf-8", "surrogateescape"))(name) for glob in settings.PROTECTED_PATTERNS)

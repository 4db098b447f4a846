"""One key: delete it, give it another expiry, or let it live for ever. Done at once, and audited like all else."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.adapters import adapter
from cache_admin.exceptions import InvalidPattern
from cache_admin.keyspace import catalogue
from cache_admin.models import Operation
from cache_admin.operations import runner
from cache_admin.operations.base import Kind, Plan, Step, digest
from cache_admin.operations.purge import MAX_SECONDS
from cache_admin.values import masking

Verb = Literal["delete", "expire", "persist"]


class Edit(Kind):
    """One change of one key: ``params`` are ``verb``, ``key`` (of users, percent-encoded), ``protected``
    and ``seconds``."""

    name = "edit"
    permission = "change_keys"

    def permissions(self, params: dict[str, Any]) -> tuple[str, ...]:
        verb = "invalidate" if params["verb"] == "delete" else self.permission
        return (verb, "invalidate_protected") if params["protected"] else (verb,)

    def active_key(self, alias: str, params: dict[str, Any]) -> str:
        return digest(self.name, alias, params["key"])

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        params = operation.params
        cache = adapter(operation.alias)
        key = unquote_to_bytes(params["key"]).decode("utf-8", "surrogateescape")
        if params["verb"] != "delete":
            seconds = params["seconds"]
            yield Step(cursor={}, done_keys=cache.expire({cache.codec.raw(key): seconds and seconds * 1000}))
        elif cache.can_change:
            removed = cache.delete([cache.codec.raw(key)])
            yield Step(cursor={}, done_keys=removed.keys, done_bytes=removed.size, notes=removed.notes)
        else:
            yield Step(cursor={}, done_keys=int(cache.delete_user_key(key)))


def apply(
    alias: str, verb: Verb, key: bytes | str, user: runner.User, reason: str = "", *, seconds: int | None = None
) -> Operation:
    """Changes one key now and returns the finished operation; its ``done_keys`` is 0 if the key was gone already.

    ``key``: a raw key (bytes), or a user key (str), which also works where raw keys cannot be read backwards.
    ``seconds`` is for ``"expire"``. Raises ``PermissionDenied`` for keys that are not the alias's own, and for
    protected ones without ``invalidate_protected``; :class:`InvalidPattern` for seconds out of range.
    """
    codec = adapter(alias).codec
    name = key if isinstance(key, str) else codec.user(key)
    if name is None:
        raise PermissionDenied(_("This key does not belong to the alias %(alias)s.") % {"alias": alias})
    if verb == "expire" and (seconds is None or not 1 <= seconds <= MAX_SECONDS):
        raise InvalidPattern(_("A key may live for 1 second to 365 days."))
    raw = codec.raw(name)
    user_part = name.encode("utf-8", "surrogateescape")
    family = catalogue.family(user_part)
    # The sentence stays in the audit, so it must not hold a key that is a login.
    shown = masking.key_text(raw, codec, family.name if family else "")
    plan = Plan(
        kind=Edit.name,
        alias=alias,
        params={
            "verb": verb,
            "key": quote_from_bytes(user_part, safe=":"),
            "protected": bool(catalogue.protected(user_part)),
            "seconds": seconds if verb == "expire" else None,
        },
        sentence=_sentence(alias, verb, shown, seconds),
        keys=1,
    )
    operation, created = runner.begin(plan, user, reason)
    return runner.run(operation) if created else operation


def _sentence(alias: str, verb: Verb, shown: str, seconds: int | None) -> str:
    values = {"key": shown, "alias": alias, "seconds": words.number(seconds or 0)}
    if verb == "delete":
        return _("Delete the key %(key)s from %(alias)s.") % values
    if verb == "persist":
        return _("Remove the expiry of the key %(key)s in %(alias)s.") % values
    return _("Let the key %(key)s in %(alias)s expire in %(seconds)s seconds.") % values

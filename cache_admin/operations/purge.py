"""Invalidating: looking first at what would go (:func:`plan`), then deleting exactly that (:class:`Purge`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin import conf, words
from cache_admin.adapters import adapter, aliases
from cache_admin.adapters.base import Adapter, Removed
from cache_admin.exceptions import CacheAdminError, InvalidPattern
from cache_admin.keys import show
from cache_admin.operations.base import APP, PatternShare, Plan
from cache_admin.operations.looking import Look, look
from cache_admin.operations.matching import OverMatching
from cache_admin.operations.runner import User
from cache_admin.operations.targets import Meant, Selection, Target

#: Milliseconds after which a preview becomes an estimate.
PREVIEW_MILLISECONDS = 1_500
MAX_TARGETS = 100
MAX_SECONDS = 365 * 86_400
#: Patterns of what goes that the row of an operation remembers, and its confirmation carries.
MOST_KNOWN = 20


class Purge(OverMatching):
    """Deletes every matching key without blocking the server."""

    name = "purge"

    def change(self, cache: Adapter, batch: Sequence[bytes], params: dict[str, Any]) -> Removed:
        if cache.can_change:
            return cache.delete(batch)
        keys = Selection(map(Target.from_json, params["targets"]), cache.codec).literals
        return Removed(sum(cache.delete_user_key(keys[raw]) for raw in batch), 0, measured=False)


def plan(
    alias: str,
    targets: Sequence[Target] | Meant,
    user: User | None,
    *,
    over: int | None = None,
    include_protected: bool = False,
    fast: bool = False,
    budget_ms: float = PREVIEW_MILLISECONDS,
) -> Plan:
    """Looks at what invalidating ``targets`` would do, and changes nothing. Tags of what is :class:`Meant` are part of
    the plan; how many values carry them is not known to anyone.

    ``over`` seconds: let the keys expire spread over that time instead of deleting them now. ``fast``: without pauses
    for the server. Keys of protected families stay unless ``include_protected``. ``user`` None is for a terminal.
    After ``budget_ms`` the figures are estimates and the plan says so. Raises ``PermissionDenied``,
    :class:`~cache_admin.exceptions.InvalidPattern`, and what adapters raise.
    """
    meant = targets if isinstance(targets, Meant) else Meant("", tuple(targets))
    _check(meant.targets, user, over, include_protected)
    cache = adapter(alias)
    selection = Selection(meant.targets, cache.codec, may_be_empty=bool(meant.named))
    rare = bool(meant.named)
    found = look(cache, selection, include_protected=include_protected, budget=budget_ms / 1000, rare=rare)
    params: dict[str, Any] = {
        "targets": [target.to_json() for target in selection.targets],
        "include_protected": include_protected,
        "fast": fast,
    }
    if over is not None:
        params["over"] = over
    params |= {name: list(texts) for name in ("tags", "urls") if (texts := getattr(meant, name))}
    if gone := _known_to_go(found):
        params["going"] = gone
    signs_out = _is_session_alias(alias) and "session" in found.families
    large = found.high > conf.current().TYPED_CONFIRMATION_KEYS
    return Plan(
        kind="purge" if over is None else "expire",
        alias=alias,
        params=params,
        sentence=_sentence(alias, meant, selection, found, over),
        globs=selection.globs,
        keys=found.keys,
        size=found.size,
        exact=found.exact,
        scanned=found.scanned,
        total=found.total,
        going=found.going,
        staying=found.staying,
        warnings=tuple(_warnings(cache, meant, selection, found, signs_out)),
        notes=(*_tag_notes(meant, over), *meant.notes),
        typed_name=alias if large or signs_out or selection.whole_alias else "",
    )


def _known_to_go(found: Look) -> list[dict[str, Any]]:
    """The patterns of all keys that will go; nothing where they are not all known, or many."""
    globs = [share.glob for share in found.going]
    if not found.exact or not all(globs) or len(globs) > MOST_KNOWN:
        return []
    return [Target("glob", glob).to_json() for glob in globs]


def _check(targets: Sequence[Target], user: User | None, over: int | None, include_protected: bool) -> None:
    if user is not None and not user.has_perm(f"{APP}.invalidate"):
        raise PermissionDenied(_("You may not invalidate anything."))
    if user is not None and include_protected and not user.has_perm(f"{APP}.invalidate_protected"):
        raise PermissionDenied(_("You may not invalidate protected keys."))
    if len(targets) > MAX_TARGETS:
        raise InvalidPattern(_("At most %(number)d patterns or keys go in one pass.") % {"number": MAX_TARGETS})
    if over is not None and not 1 <= over <= MAX_SECONDS:
        raise InvalidPattern(_("Expire over 1 second to 365 days."))


def _is_session_alias(alias: str) -> bool:
    cached = settings.SESSION_ENGINE.rpartition(".")[2] in {"cache", "cached_db"}
    return cached and alias == settings.SESSION_CACHE_ALIAS


def _sentence(alias: str, meant: Meant, selection: Selection, found: Look, over: int | None) -> str:
    tags = ngettext(
        "make stale what carries the tag %(tags)s", "make stale what carries the tags %(tags)s", len(meant.tags)
    ) % {"tags": words.some(meant.tags)}  # fmt: skip
    if meant.tags and not found.keys:
        return _("In %(alias)s, %(what)s.") % {"alias": alias, "what": tags}
    weight = f" ({words.size(found.size, exact=found.exact)})" if found.size else ""
    values = {
        "keys": words.keys(found.keys, exact=found.exact) + weight,
        "pattern": meant.named or selection.text,
        "alias": alias,
        "over": over and words.number(over),
    }
    if over is None:
        text = _("Delete %(keys)s of %(pattern)s from %(alias)s") % values
    else:
        text = _("Expire %(keys)s of %(pattern)s in %(alias)s over %(over)s seconds") % values
    if meant.tags:
        text += "; " + tags
    if stays := _stays(found.staying, found.exact):
        text += "; " + stays
    return text + "."


def _tag_notes(meant: Meant, over: int | None) -> list[str]:
    notes = []
    if meant.tags:
        notes.append(
            _(
                "A tag is one counter: it gets another stamp, and no key is deleted. Values that carry it are computed "
                "anew when they are next asked for; how many there are is not known."
            )
        )
    if meant.tags and over is not None:
        notes.append(_("What carries a tag is stale at once; only keys expire over a while."))
    if meant.urls:
        notes.append(_("The registered proxies are told to forget %(urls)s.") % {"urls": words.some(meant.urls)})
    return notes


def _stays(staying: tuple[PatternShare, ...], exact: bool) -> str:
    if not staying:
        return ""
    first = staying[0]
    values = {
        "keys": words.keys(first.keys, exact=exact),
        "pattern": first.pattern or _("other patterns"),
        "more": len(staying) - 1,
    }
    if len(staying) > 1:
        return ngettext(
            "%(keys)s of %(pattern)s and those of %(more)d more pattern stay",
            "%(keys)s of %(pattern)s and those of %(more)d more patterns stay",
            len(staying) - 1,
        ) % values  # fmt: skip
    return ngettext("%(keys)s of %(pattern)s stays", "%(keys)s of %(pattern)s stay", first.keys) % values


def _warnings(cache: Adapter, meant: Meant, selection: Selection, found: Look, signs_out: bool) -> list[str]:
    warnings = [cache.scope] if cache.scope else []
    if signs_out:
        warnings.append(_("These are the sessions of this site: everybody is signed out, you too."))
    elif found.protected:
        warnings.append(_("%(keys)s of them are protected.") % {"keys": words.keys(found.protected, exact=found.exact)})
    if selection.whole_alias:
        warnings.append(
            _("This empties the alias %(alias)s: every key that begins with %(head)s. Other keys in the database stay.")
            % {"alias": cache.alias, "head": show(cache.codec.head)}
        )
    if not found.exact:
        warnings.append(
            _(
                "Estimated from %(scanned)s of %(total)s: between %(low)s and %(high)s keys (95 %% interval). "
                "All that match will go, however many they are."
            )
            % {
                "scanned": words.number(found.scanned),
                "total": words.keys(found.total),
                "low": words.number(found.low),
                "high": words.number(found.high),
            }
        )
    if not found.keys and any(share.protected for share in found.staying):
        warnings.append(_("Nothing would go: the keys that match are protected."))
    elif not found.keys and not meant.named:
        warnings.append(_nothing(cache, selection))
    elif not found.keys and not meant.tags and found.exact:
        warnings.append(_("Nothing of it is in %(alias)s.") % {"alias": cache.alias})
    return warnings


def _head(alias: str) -> bytes:
    """What an alias puts in front of its keys; nothing is known of one that cannot be loaded."""
    try:
        return adapter(alias).codec.head
    except CacheAdminError:
        return b""


def _nothing(cache: Adapter, selection: Selection) -> str:
    """Why nothing matches, if that can be guessed: a prefix typed along, or the keys of another alias."""
    head = show(cache.codec.head)
    text = _("Nothing matches. The prefix %(head)s is put in front of what you type.") % {"head": head}
    for target in selection.targets:
        typed = target.text
        if head and typed.startswith(head):
            return text + " " + _("Leave it out.")
        for other in aliases():
            foreign = show(_head(other))
            if other != cache.alias and foreign and typed.startswith(foreign):
                return text + " " + _("Keys that begin with %(head)s belong to the alias %(alias)s.") % {
                    "head": foreign, "alias": other,
                }  # fmt: skip
    return text

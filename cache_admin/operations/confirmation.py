"""Confirmations: what was shown is what is done, by the same user, once.

A token is signed with the project's secret key and dated, and holds the user, the alias and everything the operation
needs, so nothing between preview and confirmation can be swapped. It works once because its nonce becomes the unique
``Operation.nonce``: a second use finds the first one's row.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core import signing
from django.utils import timezone
from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.exceptions import StalePlan
from cache_admin.models import Operation
from cache_admin.operations.base import Plan

_SALT = "cache_admin.operations.confirmation"


def token_for(plan: Plan, user: AbstractUser) -> str:
    """The confirmation of ``plan`` for ``user``: URL-safe text, good for ``CONFIRMATION_SECONDS`` and one use."""
    content = {
        "user": str(user.pk),
        "nonce": uuid.uuid4().hex,
        "kind": plan.kind,
        "alias": plan.alias,
        "params": plan.params,
        "sentence": plan.sentence,
        "keys": plan.keys,
        "size": plan.size,
        "exact": plan.exact,
        "total": plan.total,
        "typed_name": plan.typed_name,
    }
    return signing.dumps(content, salt=_SALT, compress=True)


def redeem(token: str, user: AbstractUser, alias: str, *, typed: str = "") -> Plan:
    """The plan that was confirmed, with its nonce, ready for ``runner.start``.

    ``typed`` is what the user typed where ``plan.typed_name`` asks for it; it must be equal to the letter. Raises
    :class:`StalePlan` for anything but an unspoilt confirmation of this user and alias. Such attempts are audited as
    refused, except a mistyped name.
    """
    seconds = conf.current().CONFIRMATION_SECONDS
    try:
        content: dict[str, Any] = signing.loads(token, salt=_SALT, max_age=seconds)
    except signing.SignatureExpired:
        _audit(user, alias, _("Refused a confirmation that was too old."))
        raise StalePlan(
            _("This confirmation is older than %(minutes)d minutes. Look at a new preview and confirm that one.")
            % {"minutes": max(1, seconds // 60)}
        ) from None
    except signing.BadSignature:
        _audit(user, alias, _("Refused a confirmation that was forged or damaged."))
        raise StalePlan(_("This confirmation is damaged. Nothing was changed; look at a new preview.")) from None
    if content["user"] != str(user.pk):
        _audit(user, alias, _("Refused the confirmation of another user: %s") % content["sentence"])
        raise StalePlan(_("This confirmation belongs to another user. Nothing was changed; look at a new preview."))
    if content["alias"] != alias:
        _audit(user, alias, _("Refused a confirmation for another cache: %s") % content["sentence"])
        raise StalePlan(
            _("This confirmation is for the cache %(alias)s. Nothing was changed; look at a new preview.")
            % {"alias": content["alias"]}
        )
    if content["typed_name"] and typed != content["typed_name"]:
        raise StalePlan(
            _("To confirm, type %(name)s exactly as it is written. Nothing was changed.")
            % {"name": content["typed_name"]}
        )
    del content["user"]
    return Plan(**content)


def _audit(user: AbstractUser, alias: str, sentence: str) -> None:
    now = timezone.now()
    Operation.objects.create(
        kind="refused",
        alias=alias[:100],
        state=Operation.State.REFUSED,
        summary=sentence,
        user_id=user.pk,
        username=user.get_username(),
        nonce=uuid.uuid4().hex,
        created=now,
        finished=now,
    )

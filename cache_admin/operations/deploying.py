"""Marking a deploy with all that belongs to it: what the caches hold now, and the last word on the deploy before."""

from __future__ import annotations

import logging
import time

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.adapters import adapter, aliases
from cache_admin.exceptions import CacheAdminError, Unsupported
from cache_admin.keyspace import comparison, contents
from cache_admin.keyspace.compared import tally
from cache_admin.keyspace.holdings import Contents, dump, load
from cache_admin.models import Deploy
from cache_admin.monitoring import deploys

logger = logging.getLogger(__name__)

#: Seconds between two looks at whether the release that runs is marked.
EVERY = 5.0
_watch = deploys.Watch()


def mark(label: str, username: str = "") -> Deploy:
    """Marks a deploy and keeps what each alias holds; a server that is away costs its contents only.

    Raises ``ValueError`` for an empty label, and ``DatabaseError``.
    """
    deploy = deploys.mark(label, username)
    remember(deploy)
    return deploy


def watch_release() -> None:
    """Marks the setting ``RELEASE``, if no process has; to be called every ``EVERY`` seconds."""
    deploy = _watch.look(conf.current().RELEASE)
    if deploy:
        logger.info("Marked the deploy of %s.", deploy.label)
        remember(deploy)


def remember(deploy: Deploy) -> None:
    """Takes what each alias holds, for a deploy that was marked just now, and settles the one before."""
    previous, _following = deploys.neighbours(deploy)
    taken = {alias: dump(held) for alias in aliases() if (held := _take(alias, previous))}
    deploys.keep_contents(deploy, taken)
    if previous:
        settle(previous)


def settle(deploy: Deploy) -> None:
    """Writes down what was found about a deploy; for one that another one follows, so nothing more will be found."""
    found = []
    for alias in aliases():
        try:
            found.append(comparison.compare(alias, deploy))
        except CacheAdminError:
            logger.debug("The cache %s is not compared.", alias, exc_info=True)
    rows = [row for one in found for row in one.rows]
    deploys.keep_verdicts(deploy, tally(rows, [one.left for one in found if one.left]))


def _take(alias: str, previous: Deploy | None) -> Contents | None:
    """Contents, those with an error, or ``None`` for a kind of cache that never has any."""
    before = load(previous.contents.get(alias)) if previous else None
    try:
        if not adapter(alias).can_list:
            return None
        return contents.take(alias, heads=[before.head] if before else [])
    except Unsupported:
        return None
    except CacheAdminError as error:
        return Contents(error=str(error) or _("it does not answer"), at=time.time())


def forget() -> None:
    """Drops what this process knows of its release; for tests."""
    _watch.__init__()  # type: ignore[misc]

"""Every error this package raises on purpose.

Adapters translate the errors of client libraries into these at their border, so no other module knows a Redis
exception and no message carries a host, a password or a traceback. ``str(error)`` is a translated sentence fit for a
page: what happened, to which alias, what to do.
"""

from __future__ import annotations


class CacheAdminError(Exception):
    """Base of all errors of this package."""


class Unavailable(CacheAdminError):
    """The server does not answer, or not yet: refused, timed out, loading, busy, unknown host, bad certificate,
    rejected login. ``since`` is the Unix time at which a server that cannot be reached was first met so."""

    since: float | None = None


class NotPermitted(CacheAdminError):
    """The server forbids a command to us. ``command`` is its name in lower case, as an ACL rule spells it
    (``"scan"``)."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class Unsupported(CacheAdminError):
    """This kind of cache cannot do what was asked, whatever the permissions."""


class KeyChanges(CacheAdminError):
    """A key is replaced by others of another type so fast that no look at it ends."""


class WriteRefused(CacheAdminError):
    """The server answers but takes no writes now: it is a replica, out of memory, or unable to save. Nothing was
    changed."""


class InvalidPattern(CacheAdminError, ValueError):
    """A pattern that is empty, too long, has too many wildcards, or ends in a lone backslash. Nothing was sent."""


class UnknownAlias(CacheAdminError, LookupError):
    """The name is no key of ``settings.CACHES`` that the dashboard may show."""


class StalePlan(CacheAdminError):
    """A confirmation that is forged, too old, used already, or meant for another user or alias. Nothing was changed."""


class OperationConflict(CacheAdminError):
    """The same operation on the same alias is running already. ``operation_id`` names it."""

    def __init__(self, message: str, operation_id: str) -> None:
        super().__init__(message)
        self.operation_id = operation_id


class PermissionLost(CacheAdminError):
    """The user who started a running operation may not do so any more; it stopped at its next step."""

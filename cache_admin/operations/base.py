"""Operations: the only code that changes a cache on someone's behalf, and every long job.

An operation is planned (nothing changes), confirmed (a signed, dated, user-bound token that works once), written as a
row, and then driven step by step until it is done. The kinds register here under their name; the runner, the screens
and the commands know them only through :class:`Kind`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from cache_admin.exceptions import CacheAdminError
from cache_admin.models import Operation
from cache_admin.registry import Registry

APP = "cache_admin"


class Cancelled(CacheAdminError):
    """Somebody asked the running operation to stop."""


class Overrun(CacheAdminError):
    """Far more was met than was planned, so the operation stopped and asks; resuming it allows as much again."""


@dataclass(frozen=True, slots=True)
class PatternShare:
    """A pattern met while planning: what of it would go, and what would stay."""

    pattern: str
    keys: int
    size: int  #: bytes
    examples: tuple[bytes, ...]
    protected: bool = False
    family: str = ""
    glob: bytes = b""  #: of user keys that all of its keys match; empty for "other patterns"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation would do, before it does it. Shown, then carried in the confirmation token by its
    ``params``."""

    kind: str
    alias: str
    params: dict[str, Any]  #: JSON; everything the steps need
    sentence: str  #: "Delete 41 233 keys (312 MB) of product:* from default."
    globs: tuple[str, ...] = ()  #: exactly as they go to the server, as text
    keys: int = 0
    size: int = 0  #: bytes
    exact: bool = True  #: False: the budget ended before the scan did; keys and size are estimates
    scanned: int = 0
    total: int = 0
    going: tuple[PatternShare, ...] = ()
    staying: tuple[PatternShare, ...] = ()  #: met by the glob but outside the pattern, or protected
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  #: what else is to know, without being a warning
    typed_name: str = ""  #: what must be typed to confirm; "" for nothing
    nonce: str = ""  #: of the redeemed confirmation; "" for a plan that nobody confirmed yet


@dataclass(slots=True)
class Step:
    """What was done since the step before; the runner adds it to the row. ``cursor`` replaces the row's."""

    cursor: dict[str, Any]
    scanned: int = 0
    total: int | None = None
    done_keys: int = 0
    done_bytes: int = 0
    skipped_keys: int = 0
    busy: float = 0.0  #: seconds the server was kept occupied, for gentle pacing
    slow: bool = False  #: that was too long for one step
    at_once: int | None = None  #: keys of the next step, where a slow server is asked for fewer at once
    notes: tuple[str, ...] = ()  #: translated sentences that stay in the row's ``error`` when it is done


class Kind:
    """One verb. Kinds are stateless; all state is in the row."""

    name: ClassVar[str]
    #: Codename needed to plan, confirm and keep running, without the app label.
    permission: ClassVar[str]
    #: Whether it changes a cache, so that it needs a confirmation and is shown in the audit as a change.
    changes: ClassVar[bool] = True

    def permissions(self, params: dict[str, Any]) -> tuple[str, ...]:
        """Every codename that running it with ``params`` needs."""
        return (self.permission,)

    def active_key(self, alias: str, params: dict[str, Any]) -> str:
        """What must not run twice at once: a digest of at most 64 characters. Default: of the kind and the alias."""
        return digest(self.name, alias)

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        """Goes on from ``operation.cursor`` to the end, and yields after every change and every page.

        The runner saves what a step changed before it asks for the next one, so a killed process is at most one
        step behind. It closes the iterator when the operation must not go on (cancelled, permission lost, taken
        over elsewhere): keep partial results in a ``finally``. Raises this package's errors; the runner records them.
        """
        raise NotImplementedError


kinds: Registry[Kind] = Registry("operation")


def digest(*parts: str) -> str:
    """64 hexadecimal digits that stand for ``parts``."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

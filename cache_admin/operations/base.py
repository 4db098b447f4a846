"""Operations: the only code that changes a cache on someone's behalf, and every long job.

An operation is planned (nothing changes), confirmed (a signed, dated, user-bound token that works once), written as a
row, and then advanced in steps of at most a second until it is done. The kinds register here under their name; the
runner, the screens and the commands know them only through :class:`Kind`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cache_admin.models import Operation
from cache_admin.registry import Registry


@dataclass(frozen=True, slots=True)
class PatternShare:
    """A pattern met while planning: what of it would go, and what would stay."""

    pattern: str
    keys: int
    size: int  #: bytes
    examples: tuple[bytes, ...]
    protected: bool = False
    family: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation would do, before it does it. Shown, then carried in the confirmation token by its
    ``params``."""

    kind: str
    alias: str
    params: dict[str, Any]  #: JSON; everything ``advance`` needs
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
    typed_name: str = ""  #: what must be typed to confirm; "" for nothing


@dataclass(slots=True)
class Step:
    """What one ``advance`` did; the runner adds it to the row. ``cursor`` replaces the row's, ``finished`` ends the
    operation."""

    cursor: dict[str, Any]
    scanned: int = 0
    total: int | None = None
    done_keys: int = 0
    done_bytes: int = 0
    skipped_keys: int = 0
    finished: bool = False
    notes: list[str] = field(default_factory=list)


#: Saves a step the moment something was changed, so that a killed process is at most one batch behind.
#: Raises Cancelled or PermissionLost when the operation must not go on.
Checkpoint = Callable[[Step], None]


class Kind:
    """One verb. Subclasses are stateless; all state is in the row."""

    name: ClassVar[str]
    #: Codename needed to plan, confirm and keep running, without the app label.
    permission: ClassVar[str]
    #: Whether it changes a cache, so that it needs a confirmation and is shown in the audit as a change.
    changes: ClassVar[bool] = True

    def active_key(self, alias: str, params: dict[str, Any]) -> str:
        """What must not run twice at once: a digest of alias and target. Default: the kind and the alias."""
        return f"{self.name}:{alias}"[:64]

    def advance(self, operation: Operation, budget: float, checkpoint: Checkpoint) -> Step:
        """Works for about ``budget`` seconds from ``operation.cursor`` on. Raises this package's errors; the runner
        records them."""
        raise NotImplementedError


kinds: Registry[Kind] = Registry("operation")

"""How warmers fared: the outcomes of one operation, and the last run of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from cache_admin.adapters import adapter
from cache_admin.adapters.fallback import translated
from cache_admin.caching.warmers import Warmer
from cache_admin.caching.warming import CacheWarmer, memory_key
from cache_admin.models import Operation

#: Operations that are looked through for the last run of a warmer.
_REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """One warmer in one run. ``state`` is that of the library ("done", "failed", "refused", "late", "stopped"), or
    "running", "waiting", or "cut off" when the operation ended before it."""

    name: str
    state: str
    written: int = 0
    seconds: float = 0.0
    error: str = ""  #: in words
    at: float = 0.0  #: Unix time of its end
    by: str = ""  #: who ran it; "" for code and commands

    @property
    def failed(self) -> bool:
        return self.state in {"failed", "refused", "late", "stopped"}


def outcomes(operation: Operation) -> list[Outcome]:
    """The warmers of an operation in their order, as far as it came."""
    names, cursor = operation.params.get("warmers", ()), operation.cursor
    at, results = cursor.get("next", 0), cursor.get("results", {})
    coming = ("running", "waiting") if operation.state == Operation.State.RUNNING else ("cut off", "cut off")
    return [
        _outcome(name, results[name], operation)
        if name in results
        else Outcome(name, coming[number > at or not cursor])
        for number, name in enumerate(names)
    ]


def last(names: Collection[str]) -> dict[str, Outcome]:
    """The newest outcome of each of these warmers in the operations of this site."""
    found: dict[str, Outcome] = {}
    for operation in Operation.objects.filter(kind="warm").order_by("-created")[:_REMEMBERED]:
        for name, result in operation.cursor.get("results", {}).items():
            if name in names:
                found.setdefault(name, _outcome(name, result, operation))
        if len(found) == len(names):
            break
    return found


def remembered(warmer: Warmer) -> Outcome | None:
    """How its last run ended as the cache remembers it, also where code or a command ran it.

    The server is asked over a connection of our own first, so that a silent one holds nobody up. Raises what adapters
    raise.
    """
    if not adapter(warmer.alias).exists(memory_key(warmer)):
        return None
    with translated(warmer.alias):
        result = CacheWarmer.last(warmer)
        return Outcome(**asdict(result)) if result else None
    return None


def expected(names: Collection[str]) -> int:
    """Entries that these warmers wrote when they ran last; 0 unless all of them did."""
    runs = last(names)
    good = [run.written for run in runs.values() if run.state == "done"]
    return sum(good) if len(good) == len(names) else 0


def _outcome(name: str, result: dict[str, Any], operation: Operation) -> Outcome:
    return Outcome(
        name=name,
        state=result["state"],
        written=result["written"],
        seconds=result["seconds"],
        error=result["error"],
        at=result["at"],
        by=operation.username,
    )

"""The lock of one computation, on any cache: ``add`` takes it, and only its owner gives it back.

The lock of ``key`` is the key ``<key>:lock``; it holds a token of its owner and expires by itself, so an owner that
was killed holds nobody up for longer than ``lock_timeout``.

**Release.** No Django cache can compare and delete in one step, so a release is bounded by time: it deletes only if
the token is still there *and* enough of the lease is left (``_MARGIN`` seconds or a quarter of it) for the delete to
arrive while no one else can hold the lock. Otherwise it leaves the lock to expire. A process that stalls for longer
than the margin between the look and the delete could still remove another's lock; what that costs is one computation
more, never a wrong value.

**Invalidation during a computation** takes the lock away. The owner sees that and does not store what it computed.
"""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, field

_MARGIN = 1.0


def lock_key(key: str) -> str:
    """The user key that locks ``key``."""
    return f"{key}:lock"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock that was asked for at ``since`` (monotonic seconds, before the request went out) for ``seconds``."""

    key: str
    seconds: int
    token: int = field(default_factory=lambda: secrets.randbits(62))
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def asked(cls, key: str, seconds: float) -> Lease:
        """A lease that is asked for now. Whole seconds: some backends take 0.5 s for none or for ever."""
        return cls(key, max(1, math.ceil(seconds)))

    @property
    def name(self) -> str:
        return lock_key(self.key)

    def certain(self) -> bool:
        """Whether so much of the lease is left that nobody else can hold the lock until a command has arrived."""
        left = self.seconds - (time.monotonic() - self.since)
        return left > min(_MARGIN, self.seconds / 4)

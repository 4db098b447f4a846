"""Expiring over a while: the gentle twin of a purge, without a stampede at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from cache_admin.adapters.base import Adapter, Removed
from cache_admin.operations.matching import OverMatching


class Expire(OverMatching):
    """Gives every matching key a rest of life of at most ``params["over"]`` seconds, never more than it has."""

    name = "expire"

    def change(self, cache: Adapter, batch: Sequence[bytes], params: dict[str, Any]) -> Removed:
        ttls = {raw: milliseconds(raw, params["over"]) for raw in batch}
        return Removed(keys=cache.expire(ttls, only_sooner=True), size=0, measured=False)


def milliseconds(raw: bytes, over: int) -> int:
    """When ``raw`` expires within ``over`` seconds: spread evenly by a hash of the key, so again the same each time."""
    part = int.from_bytes(blake2b(raw, digest_size=8).digest(), "big") / 2**64
    return 1 + int(part * over * 1000)

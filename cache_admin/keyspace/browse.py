"""A listing of keys in pages of a fixed length, each with bounded work on the server, that can be gone on with later.

A page of SCAN holds up to a thousand keys and always the same ones, so it is read again for each part of it that is
shown; its keys are put in order, and "after this one" stays right when keys are deleted in between.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from cache_admin.adapters.base import SCAN_COUNT, Adapter, Probe

_LONGEST_MARK = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listing goes on: in the SCAN page at ``cursor``, behind the key that ``after`` marks."""

    cursor: int = 0
    run_id: str = ""
    after: str = ""
    scanned: int = 0  #: keys looked at before


@dataclass(frozen=True, slots=True)
class Listed:
    """One key of a listing. ``size`` is in bytes; both are ``None`` where the server does not permit to ask."""

    key: bytes
    size: int | None
    probe: Probe | None


@dataclass(frozen=True, slots=True)
class Listing:
    keys: tuple[Listed, ...]
    scanned: int  #: keys looked at so far, all owners
    total: int  #: keys in the database, all owners
    following: Place | None  #: None: this was all
    restarted: bool = False  #: the server process is another one; this is the beginning again


@dataclass(slots=True)
class _Part:
    """What is taken from the SCAN pages of one listing page."""

    match: Callable[[bytes], object]
    limit: int
    after: str
    sizes: dict[bytes, int | None] = field(default_factory=dict)
    taken: list[bytes] = field(default_factory=list)
    more: bool = False
    done: bool = False

    def choose(self, names: Sequence[bytes]) -> Sequence[bytes]:
        """The keys of a SCAN page to show, in order; also what is probed."""
        if self.done:
            return ()
        fresh = sorted(name for name in set(names) if name not in self.sizes and self.match(name))
        if self.after:
            fresh = [name for name in fresh if _mark(name) > self.after]
        room = self.limit - len(self.sizes)
        self.taken, self.more = fresh[:room], len(fresh) > room
        return self.taken


def browse(
    cache: Adapter,
    glob: bytes,
    match: Callable[[bytes], object],
    place: Place,
    *,
    limit: int = 100,
    budget: float = 0.3,
) -> Listing:
    """At most ``limit`` keys from ``place`` on, after about ``budget`` seconds fewer, with bytes, expiry and type.

    ``glob`` goes to the server, ``match`` decides. Raises this package's errors.
    """
    part = _Part(match, limit, place.after)
    probes: dict[bytes, Probe] = {}
    here, scanned, total = place.cursor, place.scanned, 0
    following: Place | None = None
    deadline = time.monotonic() + budget
    with closing(cache.walk(part.choose, cursor=place.cursor, run_id=place.run_id, glob=glob)) as pages:
        for page in pages:
            if place.run_id and page.run_id != place.run_id:
                return replace(browse(cache, glob, match, Place(), limit=limit, budget=budget), restarted=True)
            probes.update(page.probes)
            total = page.total
            if part.done:  # this page was read for the probes of the one before
                break
            sizes = dict(zip(page.keys, page.sizes, strict=True))
            part.sizes.update((key, sizes[key]) for key in part.taken)
            if part.more:
                following = Place(here, page.run_id, _mark(part.taken[-1]), scanned)
                part.done = True
                continue
            here, part.after, part.taken = page.cursor, "", []
            scanned = min(scanned + SCAN_COUNT, total) if page.cursor else total
            if page.cursor and (len(part.sizes) >= limit or time.monotonic() > deadline):
                following = Place(here, page.run_id, "", scanned)
                part.done = True
    found = (Listed(key, size, probes.get(key)) for key, size in part.sizes.items())
    there = tuple(one for one in found if not (one.probe and one.probe.type == "none"))
    if following and following.after:  # the SCAN page that is shown in part was looked at
        scanned = min(scanned + SCAN_COUNT, total)
    return Listing(there, scanned, total, following)


def _mark(key: bytes) -> str:
    """Text that sorts as the keys do, short for long keys; those that begin alike go by a digest."""
    tail = b"" if len(key) <= _LONGEST_MARK else blake2b(key, digest_size=8).digest()
    return base64.b16encode(key[:_LONGEST_MARK] + tail).decode()

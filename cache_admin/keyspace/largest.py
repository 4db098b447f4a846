"""The largest keys met so far."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from heapq import heapify, heappush, heappushpop
from typing import Any

from cache_admin.adapters.base import Probe
from cache_admin.keyspace.tally import Tally


class Largest:
    """At most ``most`` keys, each once, with the tally of its pattern and what a probe said of it."""

    def __init__(self, most: int) -> None:
        self.tallies: dict[bytes, Tally] = {}
        self.probes: dict[bytes, Probe] = {}
        self._most = most
        self._heap: list[tuple[int, bytes]] = []
        self._unasked: list[bytes] = []

    @property
    def floor(self) -> int:
        """The size to beat for a place."""
        if len(self._heap) < self._most:
            return -1
        return self._heap[0][0] if self._heap else sys.maxsize

    @property
    def ranking(self) -> list[tuple[int, bytes]]:
        """Sizes and keys, largest first."""
        return sorted(self._heap, reverse=True)

    def keep(self, size: int, key: bytes, tally: Tally) -> None:
        """Gives a key that is above ``floor`` its place."""
        if key in self.tallies:
            return
        self.tallies[key] = tally
        self._unasked.append(key)
        if len(self._heap) < self._most:
            heappush(self._heap, (size, key))
        else:
            _size, gone = heappushpop(self._heap, (size, key))
            del self.tallies[gone]
            self.probes.pop(gone, None)

    def to_probe(self) -> list[bytes]:
        """The keys that came since this was called last."""
        keys, self._unasked = self._unasked, []
        return [key for key in keys if key in self.tallies]

    def answer(self, key: bytes, probe: Probe) -> None:
        """Takes note of a probe, if the key has a place."""
        if key in self.tallies:
            self.probes[key] = probe

    def dump(self) -> list[Any]:
        """As JSON, for :meth:`restore`."""
        probes = self.probes
        return [
            [size, b64encode(key).decode(), *((probes[key].ttl, probes[key].type) if key in probes else ())]
            for size, key in self._heap
        ]

    def restore(self, dumped: list[Any]) -> list[bytes]:
        """Takes up what was dumped; ``tallies`` of the returned keys are still to be set."""
        for size, text, *probe in dumped:
            key = b64decode(text)
            self._heap.append((size, key))
            if probe:
                self.probes[key] = Probe(*probe)
        heapify(self._heap)
        return [key for _size, key in self._heap]

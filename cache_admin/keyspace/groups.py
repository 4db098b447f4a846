"""Each key to the tally of its owner's pattern."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cache_admin import conf
from cache_admin.adapters.base import Adapter
from cache_admin.folding import OTHER, Folder
from cache_admin.keyspace.owners import NOBODY, Owner, Owners
from cache_admin.keyspace.tally import Tally

FOREIGN_PATTERNS = 200
FOREIGN_OWNERS = 50


class Group:
    """The patterns of one owner's keys, each with its tally."""

    def __init__(self, limit: int) -> None:
        self._folder = Folder(limit, self._merge)
        self._tallies: defaultdict[int, Tally] = defaultdict(Tally)

    def place(self, names: Sequence[bytes]) -> list[Tally]:
        """The tally of each name (owner's user key)."""
        tallies = self._tallies
        return [tallies[slot] for slot in self._folder.fold_page(names)]

    @property
    def patterns(self) -> list[tuple[bytes, Tally]]:
        """Template and tally of each pattern that has keys."""
        live = self._folder.live
        return [(live[slot], tally) for slot, tally in self._tallies.items() if slot != OTHER and tally.keys]

    @property
    def other(self) -> Tally:
        """Keys beyond the limit of patterns."""
        return self._tallies[OTHER]

    def _merge(self, source: int, target: int) -> None:
        if (tally := self._tallies.pop(source, None)) is not None:
            self._tallies[target].absorb(tally)

    def dump(self) -> list[Any]:
        """As JSON, for :meth:`restore`."""
        patterns = [[b64encode(template).decode(), tally.dump()] for template, tally in self.patterns]
        return [self.other.dump(), patterns]

    def restore(self, dumped: list[Any]) -> None:
        other, patterns = dumped
        slots = self._folder.restore([b64decode(template) for template, _tally in patterns])
        self._tallies[OTHER] = Tally.load(other)
        for slot, (_template, tally) in zip(slots, patterns, strict=True):
            self._tallies[slot] = Tally.load(tally)


class Groups:
    """The keys of a database: an alias's own, and those of everybody else by owner."""

    def __init__(self, adapter: Adapter) -> None:
        self.own = Group(conf.current().MAX_PATTERNS)
        self.foreign: dict[Owner, Group] = {}
        self._codec = adapter.codec
        self._owners = Owners(adapter.alias)

    def place(self, names: Sequence[bytes]) -> tuple[list[Tally], list[bool] | None]:
        """The tally of each raw key, and which of them are our own (``None``: all)."""
        codec = self._codec
        head, tail = len(codec.head), len(codec.tail)
        mask = list(map(codec.owns, names)) if tail else [name.startswith(codec.head) for name in names]
        if all(mask):
            return self.own.place([name[head : len(name) - tail] for name in names]), None
        mine = [name[head : len(name) - tail] for name, own in zip(names, mask, strict=True) if own]
        theirs = [name for name, own in zip(names, mask, strict=True) if not own]
        placed, others = iter(self.own.place(mine)), iter(self._place_foreign(theirs))
        return [next(placed) if own else next(others) for own in mask], mask

    def _place_foreign(self, names: list[bytes]) -> list[Tally]:
        by_owner: dict[Owner, list[int]] = {}
        for i, name in enumerate(names):
            owner = self._owners.of(name)
            if owner not in self.foreign and len(self.foreign) + len(by_owner) >= FOREIGN_OWNERS:
                owner = NOBODY
            by_owner.setdefault(owner, []).append(i)
        placed: dict[int, Tally] = {}
        for owner, indexes in by_owner.items():
            group = self.foreign.setdefault(owner, Group(FOREIGN_PATTERNS))
            placed.update(zip(indexes, group.place([owner.strip(names[i]) for i in indexes]), strict=True))
        return [placed[i] for i in range(len(names))]

    def dump(self) -> list[Any]:
        """As JSON, for :meth:`restore`."""
        foreign = [
            [
                [
                    owner.label,
                    b64encode(owner.head).decode(),
                    b64encode(owner.tail).decode(),
                    owner.alias,
                    owner.version,
                ],
                group.dump(),
            ]
            for owner, group in self.foreign.items()
        ]
        return [self.own.dump(), foreign]

    def restore(self, dumped: list[Any]) -> None:
        """Takes up what was dumped; for groups that hold nothing yet."""
        own, foreign = dumped
        self.own.restore(own)
        for (label, head, tail, alias, version), group in foreign:
            owner = Owner(label, b64decode(head), b64decode(tail), alias, version)
            self.foreign[owner] = Group(FOREIGN_PATTERNS)
            self.foreign[owner].restore(group)

"""Which keys of each pattern to look into, while their names go by, and what was found in them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from cache_admin import conf
from cache_admin.folding import OTHER, Folder
from cache_admin.keyspace.unreadable import PatternValues, Trouble
from cache_admin.patterns import display

PER_PATTERN = 20
MOST_TROUBLES = 20  #: kinds of fault told of one pattern

#: Code, detail, whether it is fatal.
Found = tuple[str, str, bool]


@dataclass(slots=True, eq=False)
class _Sample:
    """What was seen of one pattern."""

    keys: int = 0
    taken: int = 0  #: values chosen to be looked at
    looked_at: int = 0
    unreadable: int = 0
    troubles: dict[Found, tuple[int, bytes]] = field(default_factory=dict)  #: how often, and an example
    into: _Sample | None = None  #: the one it became part of

    def absorb(self, other: _Sample) -> None:
        self.keys += other.keys
        self.taken += other.taken
        self.looked_at += other.looked_at
        self.unreadable += other.unreadable
        for found, (number, example) in other.troubles.items():
            self.note(found, number, example)
        other.into = self

    def note(self, found: Found, number: int, example: bytes) -> None:
        if found in self.troubles or len(self.troubles) < MOST_TROUBLES:
            before, first = self.troubles.get(found, (0, example))
            self.troubles[found] = before + number, first

    @property
    def end(self) -> _Sample:
        sample = self
        while sample.into is not None:
            sample = sample.into
        return sample


class Samples:
    """Chooses the first ``PER_PATTERN`` keys of each pattern: in the order of a hash table, these are any of them."""

    def __init__(self) -> None:
        self._folder = Folder(conf.current().MAX_PATTERNS, self._merge)
        self._samples: defaultdict[int, _Sample] = defaultdict(_Sample)

    def _merge(self, source: int, target: int) -> None:
        if (sample := self._samples.pop(source, None)) is not None:
            self._samples[target].absorb(sample)

    def choose(self, names: Sequence[bytes]) -> list[tuple[int, _Sample]]:
        """Takes note of user keys; of those to look into the index, and what to give to :meth:`take` with it."""
        chosen = []
        slots = self._folder.fold_page(names)
        for i, slot in enumerate(slots):
            sample = self._samples[slot]
            sample.keys += 1
            if sample.taken < PER_PATTERN:
                sample.taken += 1
                chosen.append((i, sample))
        return chosen

    def take(self, sample: _Sample, raw: bytes, found: Iterable[Found]) -> None:
        """Takes note of what is wrong with the value of a key that was chosen."""
        sample = sample.end
        sample.looked_at += 1
        fatal = False
        for one in found:
            sample.note(one, 1, raw)
            fatal = fatal or one[2]
        sample.unreadable += fatal

    @property
    def patterns(self) -> tuple[PatternValues, ...]:
        """Those with any fault, most unreadable first."""
        live = self._folder.live
        rows = [
            PatternValues(
                pattern=_("other") if slot == OTHER else display(live[slot]),
                template=b"" if slot == OTHER else live[slot],
                keys=sample.keys,
                looked_at=sample.looked_at,
                unreadable=sample.unreadable,
                troubles=tuple(
                    Trouble(*found, number, example)
                    for found, (number, example) in sorted(
                        sample.troubles.items(), key=lambda item: (not item[0][2], -item[1][0], item[0])
                    )
                ),
            )
            for slot, sample in self._samples.items()
            if sample.troubles
        ]
        return tuple(sorted(rows, key=lambda row: (-row.share * row.keys, -row.keys, row.pattern)))

    def dump(self) -> list[Any]:
        """As JSON, for :meth:`restore`."""
        live = self._folder.live
        return [
            [
                "" if slot == OTHER else b64encode(live[slot]).decode(),
                slot == OTHER,
                [sample.keys, sample.taken, sample.looked_at, sample.unreadable],
                [[*found, number, b64encode(key).decode()] for found, (number, key) in sample.troubles.items()],
            ]
            for slot, sample in self._samples.items()
        ]

    def restore(self, dumped: list[Any]) -> None:
        """Takes up what was dumped; for samples that hold nothing yet."""
        templates = [b64decode(template) for template, is_rest, _counts, _troubles in dumped if not is_rest]
        slots = iter(self._folder.restore(templates))
        for _template, is_rest, counts, troubles in dumped:
            sample = self._samples[OTHER if is_rest else next(slots)] = _Sample(*counts)
            for code, detail, fatal, number, key in troubles:
                sample.troubles[code, detail, fatal] = number, b64decode(key)

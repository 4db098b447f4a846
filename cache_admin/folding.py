"""Streams of keys -> a bounded set of pairwise disjoint patterns.

Each key goes to the one template that it is a member of. Where templates differ in one segment only and there are too
many of them, they collapse into one with a word-star there, and whatever overlaps the new one joins it, so that no
key ever has two patterns. What finds no place within the limit is counted under :data:`OTHER`, which has no
membership.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from zlib import crc32

from cache_admin.patterns import WORD, finish, fold_common, split

OTHER = 0
#: Different values of one segment that stay apart, and of the first segment, which names what a key is about.
SIBLINGS = 50
FIRST_SIBLINGS = 300
#: Templates with one first segment from which on all of their positions with many values collapse together.
CROWD = 500
_REMEMBERED = 10_000

Shape = tuple[bytes, int]
Segments = tuple[bytes, ...]
T = TypeVar("T")


class Folder:
    """Gives every key a slot, a small number that stands for its pattern; slot ``OTHER`` is for the rest.

    ``on_merge(source, target)`` is called when the pattern of a slot became part of another one; the source slot may
    come again later for a new pattern. Results of :meth:`fold_page` are valid until then.
    """

    def __init__(self, limit: int, on_merge: Callable[[int, int], None] = lambda source, target: None) -> None:
        self.limit = limit
        self.on_merge = on_merge
        self.live: dict[int, bytes] = {}  #: slot -> template
        self.size = 1  #: slots ever used
        self._slots: dict[bytes, int] = {}  # folded name -> slot: of live templates, and names met before
        self._shapes: dict[Shape, dict[Segments, int]] = {}
        self._masks: dict[Shape, dict[tuple[int, ...], int]] = {}
        self._siblings: dict[int, int] = {}
        self._crowds: dict[tuple[Shape, bytes], int] = {}
        self._patience: dict[tuple[Shape, bytes], int] = {}
        self._moved: dict[int, int] = {}
        self._free: list[int] = []
        self._full = False

    def fold_page(self, names: Sequence[bytes]) -> list[int]:
        """The slot of each user key."""
        folded = fold_common(names)
        known = list(map(self._slots.get, folded))
        slots = [self._place(name) if slot is None else slot for name, slot in zip(folded, known, strict=True)]
        if self._moved:
            slots = [self._resolve(slot) for slot in slots]
            self._free.extend(self._moved)
            self._moved.clear()
        return slots

    def restore(self, templates: Iterable[bytes]) -> list[int]:
        """Slots of templates that another folder found, in their order; for an empty folder only."""
        return [self._register(split(template)) for template in templates]

    def _resolve(self, slot: int) -> int:
        while slot in self._moved:
            slot = self._moved[slot]
        return slot

    def _place(self, folded: bytes) -> int:
        if (known := self._slots.get(folded)) is not None:
            return known
        separator, segments = split(finish(folded))
        shape = separator, len(segments)
        slot = self._find(shape, segments)
        if slot is None:
            slot = self._insert(shape, segments)
        if slot != OTHER:
            if len(self._slots) > len(self.live) + _REMEMBERED:
                self._forget()
            self._slots[folded] = slot
        return slot

    def _find(self, shape: Shape, segments: Segments) -> int | None:
        templates = self._shapes.get(shape)
        if templates is None:
            return None
        if (slot := templates.get(segments)) is not None:
            return slot
        for mask in self._masks.get(shape, ()):
            general = list(segments)
            for i in mask:
                general[i] = WORD
            if (slot := templates.get(tuple(general))) is not None:
                return slot
        return None

    def _insert(self, shape: Shape, segments: Segments) -> int:
        if self._full:
            return OTHER
        if len(self.live) >= self.limit and not self._relieve():
            self._full = True
            return OTHER
        if (slot := self._find(shape, segments)) is not None:
            return slot
        self._register((shape[0], segments))
        self._collapse(shape, segments)
        return self._find(shape, segments) or OTHER

    def _register(self, template: tuple[bytes, Segments]) -> int:
        separator, segments = template
        shape = separator, len(segments)
        slot = self._free.pop() if self._free else self.size
        self.size = max(self.size, slot + 1)
        text = separator.join(segments)
        self.live[slot] = text
        self._slots[text] = slot
        self._shapes.setdefault(shape, {})[segments] = slot
        mask = tuple(i for i, segment in enumerate(segments) if segment == WORD)
        if mask:
            masks = self._masks.setdefault(shape, {})
            masks[mask] = masks.get(mask, 0) + 1
        for group in self._groups(shape, segments):
            self._siblings[group] = self._siblings.get(group, 0) + 1
        crowd = shape, segments[0]
        self._crowds[crowd] = self._crowds.get(crowd, 0) + 1
        return slot

    def _unregister(self, shape: Shape, segments: Segments) -> int:
        slot = self._shapes[shape].pop(segments)
        del self.live[slot]
        mask = tuple(i for i, segment in enumerate(segments) if segment == WORD)
        if mask:
            _decrease(self._masks[shape], mask)
        for group in self._groups(shape, segments):
            _decrease(self._siblings, group)
        _decrease(self._crowds, (shape, segments[0]))
        return slot

    @staticmethod
    def _groups(shape: Shape, segments: Segments) -> list[int]:
        """A number for each position: templates with the same one differ at that position only. Checksums, because
        the texts of deep names would take megabytes; a clash only means an earlier collapse."""
        return [
            crc32(b"%d %s\x01" % (i, shape[0]) + shape[0].join((*segments[:i], WORD, *segments[i + 1 :])))
            for i, segment in enumerate(segments)
            if segment != WORD
        ]

    def _collapse(self, shape: Shape, segments: Segments) -> None:
        """Generalises while a position of the template has too many siblings, or its first segment too many
        templates."""
        words = [i for i, segment in enumerate(segments) if segment != WORD]
        for i, group in zip(words, self._groups(shape, segments), strict=True):
            if self._siblings.get(group, 0) > (FIRST_SIBLINGS if i == 0 and len(segments) > 1 else SIBLINGS):
                self._generalise(shape, (*segments[:i], WORD, *segments[i + 1 :]))
                return
        crowd = shape, segments[0]
        if self._crowds[crowd] > self._patience.get(crowd, CROWD):
            members = [other for other in self._shapes[shape] if other[0] == segments[0]]
            if not self._disperse(shape, members, SIBLINGS):
                self._patience[crowd] = 2 * self._crowds[crowd]

    def _relieve(self) -> bool:
        """Makes room by collapsing the shape with most templates; False when that does not help."""
        shape = max(self._shapes, key=lambda one: len(self._shapes[one]))
        self._disperse(shape, list(self._shapes[shape]), FIRST_SIBLINGS)
        return len(self.live) < self.limit

    def _disperse(self, shape: Shape, members: list[Segments], most: int) -> bool:
        """Word-stars at every position where the members have more than ``most`` values."""
        crowded = [i for i, values in enumerate(zip(*members, strict=True)) if len(set(values)) > most]
        general = {tuple(WORD if i in crowded else part for i, part in enumerate(other)) for other in members}
        if not crowded or 2 * len(general) > len(members):
            return False
        for template in general:
            if template not in self._shapes[shape]:
                self._generalise(shape, template)
        return True

    def _generalise(self, shape: Shape, segments: Segments) -> None:
        """Adds a template, joined with everything that it overlaps, until it overlaps nothing."""
        templates = self._shapes[shape]
        absorbed: set[Segments] = set()
        while found := [other for other in templates if other not in absorbed and _overlap(segments, other)]:
            absorbed.update(found)
            segments = tuple(
                WORD if WORD in values or len(set(values)) > 1 else values[0]
                for values in zip(segments, *found, strict=True)
            )
        sources = {self._unregister(shape, other) for other in absorbed}
        self._forget()
        target = self._register((shape[0], segments))
        for source in sources:
            self._moved[source] = target
            self.on_merge(source, target)
        self._collapse(shape, segments)

    def _forget(self) -> None:
        self._slots = {template: slot for slot, template in self.live.items()}


def _overlap(first: Segments, second: Segments) -> bool:
    return all(a == b or WORD in (a, b) for a, b in zip(first, second, strict=True))


def _decrease(counts: dict[T, int], key: T) -> None:
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1

"""What the application asked of its caches, in numbers: the counts of one pattern, and how they are stored. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import zip_longest

from cache_admin.patterns import ID

#: Where the counts go that no pattern has room for.
OTHER = b""
#: JSON in PostgreSQL has no character 0; this one is beyond all that a byte stands for.
_NUL = "\u0100"


@dataclass(slots=True)
class Counts:
    """Counts of one pattern in some stretch of time, in the order in which they are stored."""

    hits: int = 0  #: keys looked up and found; a stored ``None`` is found
    misses: int = 0  #: keys looked up and not found, whatever default the caller gave
    sets: int = 0
    deletes: int = 0
    others: int = 0  #: keys touched or counted up or down
    errors: int = 0  #: operations that raised
    micros: int = 0  #: microseconds in the cache, without those of the caller's own functions
    size: int = 0  #: bytes written, of the ``sized`` sets
    sized: int = 0  #: sets whose bytes are known: of text, bytes and the like
    rebuilds: int = 0  #: values computed after a miss
    rebuild_micros: int = 0  #: microseconds that took
    duplicates: int = 0  #: rebuilds while another caller was at the same key: what a stampede is made of
    duplicate_micros: int = 0  #: microseconds of these, part of ``rebuild_micros``
    early: int = 0  #: misses of keys that this process stored, before their expiry and without deleting them itself

    def add(self, other: Counts) -> None:
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def scaled(self, factor: float) -> Counts:
        """Itself with all counts multiplied, rounded."""
        return self if factor == 1 else Counts(*(round(number * factor) for number in astuple(self)))

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def operations(self) -> int:
        return self.lookups + self.sets + self.deletes + self.others

    @property
    def hit_rate(self) -> float | None:
        """Keys found of all that were looked up, 0 to 1; ``None`` without look-ups."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def rebuild(self) -> float | None:
        """Seconds that computing a value took, on average; ``None`` where none was."""
        return self.rebuild_micros / self.rebuilds / 1e6 if self.rebuilds else None

    @property
    def lost(self) -> float | None:
        """Seconds that all misses cost: each as long as a rebuild. ``None`` where that is not known."""
        return None if self.rebuild is None else self.misses * self.rebuild

    @property
    def time(self) -> float | None:
        """Seconds in the cache of an operation, on average; ``None`` without any."""
        return self.micros / self.operations / 1e6 if self.operations else None

    @property
    def written(self) -> float | None:
        """Bytes of a set, on average; ``None`` where no set was of a kind whose bytes are known."""
        return self.size / self.sized if self.sized else None


NAMES = tuple(field.name for field in fields(Counts))
ByPattern = dict[bytes, Counts]


def dump(counts: Mapping[bytes, Counts]) -> dict[str, list[int]]:
    """As JSON, by pattern; zeros at the end of a row are left out."""
    return {encoded(template): _trimmed(astuple(one)) for template, one in counts.items()}


def load(stored: Mapping[str, Sequence[int]]) -> ByPattern:
    """What :func:`dump` made; numbers that a later version added are passed over."""
    return {decoded(text): Counts(*numbers[: len(NAMES)]) for text, numbers in stored.items()}


def sum_rows(rows: Iterable[Sequence[int]]) -> list[int]:
    """Stored rows added up place by place, as long as the longest of them."""
    return list(map(sum, zip_longest(*rows, fillvalue=0)))


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    found = Counts()
    for one in counts:
        found.add(one)
    return found


def encoded(template: bytes) -> str:
    """A template as text that every database takes."""
    return template.decode("latin-1").replace(ID.decode(), _NUL)


def decoded(text: str) -> bytes:
    """The template that :func:`encoded` got."""
    return text.replace(_NUL, ID.decode()).encode("latin-1")


def _trimmed(numbers: Sequence[int]) -> list[int]:
    last = max((i for i, number in enumerate(numbers) if number), default=-1)
    return list(numbers[: last + 1])

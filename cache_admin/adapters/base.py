"""What one cache can tell and do: the contract of all adapters, and the facts that cross their border.

An adapter stands in front of one alias of ``settings.CACHES``. It speaks raw keys (``bytes``) and frozen dataclasses,
raises only this package's exceptions, and uses its own short-timed connections, never the host project's. What a kind
of cache cannot do is said twice: by a capability flag, which screens ask, and by
:class:`~cache_admin.exceptions.Unsupported`, which a call raises.

A subclass overrides what it supports. ``tests/adapters/contract.py`` is the contract as tests; a new adapter's test
includes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from django.core.cache import BaseCache, caches
from django.utils.translation import gettext as _

from cache_admin.adapters.server_info import Node, ServerInfo, SlowCommand
from cache_admin.bookkeeping import unwatched
from cache_admin.exceptions import Unsupported
from cache_admin.keys import KeyCodec

SCAN_COUNT = 1000
DELETE_BATCH = 500
#: Seconds of the server beyond the way there and back, from which on a page is slow.
SLOW_PAGE = 0.25


@dataclass(frozen=True, slots=True)
class ScanPage:
    """A page of a key listing. ``cursor`` 0 means the listing is complete; a page may be empty before that, and a
    key may come twice."""

    cursor: int
    keys: tuple[bytes, ...]
    node: Node
    run_id: str  #: a cursor is only good for the server process that gave it


@dataclass(frozen=True, slots=True)
class Probe:
    """Expiry and type of one key. ``ttl`` is in seconds: ``None`` no expiry; a key that is gone has ``type``
    ``"none"``."""

    ttl: float | None
    type: str


@dataclass(frozen=True, slots=True)
class MeasuredPage:
    """A page of a walk over one server. ``sizes[i]`` is bytes of ``keys[i]`` in memory, ``None`` if gone or forbidden.

    ``probes`` answers the keys asked for on the page before, and on the last page those asked for on it as well; a key
    whose expiry we may not ask is left out. ``busy`` is the seconds the page kept the server and
    the wire occupied, an upper bound of the server's own time.
    """

    cursor: int
    keys: Sequence[bytes]
    sizes: Sequence[int | None]
    probes: Mapping[bytes, Probe]
    busy: float
    run_id: str
    total: int  #: keys in the database when the walk began
    slow: bool = False  #: the server took so long that the pages to come are smaller
    count: int = SCAN_COUNT  #: keys that the next page is asked for


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """Facts of one key, read without refreshing its idle time where the server allows. ``None`` means unknown, see
    ``notes``."""

    key: bytes
    type: str  #: "string", "hash", "list", "set", "zset", "stream", a module's type, or "none" when the key is gone
    size: int | None = None  #: bytes in memory, with the server's overhead
    length: int | None = None  #: bytes of a string, entries of a collection
    ttl: float | None = None  #: seconds; None with ``expires`` False means it never expires
    expires: bool = False
    idle: int | None = None  #: seconds since the last access
    encoding: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        return self.type != "none"


@dataclass(frozen=True, slots=True)
class RawValue:
    """A window on a stored value, exactly as stored. Strings: ``data``. Collections: ``entries``, tuples of bytes.

    Entries are ``(item,)`` for lists and sets, ``(field, value)`` for hashes, ``(member, score)`` for sorted sets,
    ``(id, field, value, field, value ...)`` for streams.
    """

    type: str
    length: int  #: of the whole value: bytes of a string, entries of a collection
    data: bytes = b""
    entries: tuple[tuple[bytes, ...], ...] = ()
    truncated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion really removed. ``size`` is measured before; 0 where measuring is not permitted, then
    ``measured`` is False."""

    keys: int
    size: int  #: bytes
    measured: bool = True
    notes: tuple[str, ...] = ()  #: translated sentences: what was left and why


@dataclass(frozen=True, slots=True)
class Storage:
    """How the alias writes values, from its settings, as a hint for reading them. Names as in ``values/codecs.py``."""

    serializer: str = ""  #: "pickle", "json", "msgpack" or a dotted path of the project's own
    compressor: str = ""  #: "zlib", "lzma", "zstd", "gzip", "lz4", "bz2" or a dotted path; "" for none
    wrapped: bool = False  #: HerdClient stores (marker, value, expiry)


#: Called with the names of a page while the server measures them; returns the keys whose expiry and type to probe
#: with the next page.
ChooseProbes = Callable[[Sequence[bytes]], Sequence[bytes]]


@dataclass(slots=True)
class Adapter:
    """One alias. The base class is what is true of any Django cache: exact keys, through the cache itself, and
    nothing else.

    ``cache`` is read for its settings only: an adapter serves all threads, and Django's caches belong to one each.
    """

    alias: str
    cache: BaseCache
    codec: KeyCodec = field(init=False)

    #: The keys of the cache can be listed and counted, so there are patterns and globs.
    can_list: ClassVar[bool] = False
    #: The size of each key in memory can be measured.
    can_measure: ClassVar[bool] = False
    #: The server counts hits and misses and tells its memory.
    can_tell_server: ClassVar[bool] = False
    #: The server remembers commands that took it long.
    can_tell_slow: ClassVar[bool] = False
    #: A key's facts and stored bytes can be read without running any of it.
    can_inspect: ClassVar[bool] = False
    #: Keys can be deleted and given another expiry by raw key.
    can_change: ClassVar[bool] = False
    #: Words for what this is, e.g. "Redis through django-redis".
    label: ClassVar[str] = ""
    #: Dotted paths of the cache classes this adapter serves; resolved over the MRO, so subclasses are served too.
    serves: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self.codec = KeyCodec.of(self.cache)

    @classmethod
    def fits(cls, cache: object) -> bool:
        """Whether this adapter can serve a cache of one of its classes, judged by its options."""
        return True

    @property
    def storage(self) -> Storage:
        return Storage()

    @property
    def scope(self) -> str:
        """What its answers are of, in a sentence, where that is less than the whole site; else ""."""
        return ""

    def nodes(self) -> tuple[Node, ...]:
        """The physical servers, primary first, from settings; asks no server."""
        return ()

    def info(self, node: Node | None = None) -> ServerInfo:
        """One reading of a node's counters (default: the primary). One INFO, at most once per second and process."""
        raise self._unsupported(_("tell about its server"))

    @property
    def database(self) -> str:
        """The name of the alias's database in :attr:`ServerInfo.keyspace`."""
        return ""

    def probed(self, node: Node) -> tuple[int, int]:
        """Look-ups (hits, misses) of our own that a node counted since this process began, whatever was reset."""
        return 0, 0

    def heard(self, node: Node, *, answered: float | None = None, silent_since: float | None = None) -> None:
        """What another process met, as Unix time: an answer of a node, or silence since then.

        So an error of this process can say how long the silence really lasts.
        """

    def slow_log(self, limit: int = 10, node: Node | None = None) -> tuple[SlowCommand, ...]:
        """The last commands that took the server long, newest first, at most ``limit``; names only."""
        raise self._unsupported(_("tell which commands were slow"))

    def count(self) -> int:
        """Keys in the database, of all owners."""
        raise self._unlisted()

    def scan(self, cursor: int = 0, glob: bytes = b"", count: int = SCAN_COUNT, run_id: str = "") -> ScanPage:
        """One page of raw keys. ``run_id`` of the page before: if the server process changed, the listing starts
        again at 0."""
        raise self._unlisted()

    def walk(
        self,
        choose: ChooseProbes,
        *,
        cursor: int = 0,
        run_id: str = "",
        glob: bytes = b"",
    ) -> Generator[MeasuredPage, None, None]:
        """All keys of the primary with their sizes, page by page; measuring a page and listing the next one share a
        round trip.

        Starts at 0 when ``run_id`` is not the server's. Use it in ``closing``: it may own a connection.
        """
        raise self._unlisted()

    def spent(self) -> float | None:
        """Seconds the server itself worked on commands such as ours since its counters began, whoever sent them.

        For gentle pacing, which else takes all time on the wire for the server's. ``None`` where it does not tell.
        """
        return None

    def key_info(self, raw: bytes) -> KeyInfo:
        """Facts of one key."""
        raise self._unsupported(_("show facts of a key"))

    def read(self, raw: bytes, *, start: int = 0, limit: int = 65_536, entries: int = 100) -> RawValue:
        """At most ``limit`` bytes from ``start`` of a string, or ``entries`` entries (each cut to ``limit`` bytes)
        of a collection."""
        raise self._unsupported(_("show stored values"))

    def encode(self, value: object) -> bytes:
        """A value as the alias would store it; stores nothing. Raises what the project's serializer raises."""
        raise self._unsupported(_("show stored values"))

    def exists(self, key: str) -> bool:
        """Exact-key look-up by user key; the one thing every cache can do."""
        return unwatched(caches[self.alias]).has_key(key)

    def delete(self, keys: Sequence[bytes]) -> Removed:
        """Removes raw keys, in batches, without blocking the server; measures them first."""
        raise self._unsupported(_("delete keys by pattern"))

    def delete_user_key(self, key: str) -> bool:
        """Removes one user key through the cache itself; every cache can. Returns whether it was there."""
        return bool(unwatched(caches[self.alias]).delete(key))

    def expire(self, ttls: Mapping[bytes, int | None], *, only_sooner: bool = False) -> int:
        """Sets the expiry of raw keys in milliseconds; ``None`` removes it. ``only_sooner``: never lengthens a life.

        Returns how many keys were changed.
        """
        raise self._unsupported(_("change the expiry of keys"))

    def must_list(self) -> None:
        """Raises :class:`Unsupported` where :attr:`can_list` is False; for what would only fail later."""
        if not self.can_list:
            raise self._unlisted()

    def _unlisted(self) -> Unsupported:
        return self._unsupported(_("list its keys: only one key at a time can be looked up and deleted"))

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(
            _("%(label)s (alias %(alias)s) cannot %(what)s.")
            % {"label": self.label or type(self.cache).__name__, "alias": self.alias, "what": what}
        )

"""One connection as the adapters use it: packed commands out, raw replies in, and an account of what is owed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from cache_admin.adapters import errors

#: Most bytes sent before the replies are read, so that neither side waits on a full socket for the other.
SEND_BYTES = 256 * 1024

#: What a server replies with decoding switched off: bytes, int, None, a list of these, or a ``ResponseError``.
Reply: TypeAlias = Any

#: Takes note of look-ups of our own that the server counted: hits, misses.
CountProbes = Callable[[int, int], None]


def pack(*words: bytes) -> bytes:
    """One command as it goes over the wire."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Link:
    """A connection in use. It knows how many replies it is owed: one that is owed any is not used again."""

    def __init__(self, connection: Any, db: int) -> None:
        self.connection = connection
        self.db = db
        self._open = False
        self._owed = 0
        self._run_id: str | None = None

    def prepare(self, db: int) -> None:
        """Connects if needed, and selects the database."""
        if self._open:
            try:
                stale = self.connection.can_read(0)
            except RedisConnectionError:
                stale = True
            if stale:
                self.close()
        if not self._open:
            self.connection.db = self.db = db
            try:
                self.connection.connect()
            except RedisConnectionError as error:
                if errors.judge(error) is errors.LOST:
                    raise errors.ClosedAtOnce from error
                raise
            self._open = True
        elif self.db != db:
            self.call(b"SELECT", b"%d" % db)
            self.db = db

    def call(self, *words: bytes) -> Reply:
        """One command, one reply. Raises the client's ``ResponseError`` for an error reply."""
        reply = self.exchange([pack(*words)])[0]
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def exchange(
        self,
        commands: Sequence[bytes],
        meanwhile: Callable[[], None] | None = None,
        first: Callable[[Reply], None] | None = None,
    ) -> list[Reply]:
        """Packed commands in one round trip (more only when they are very long); error replies stand in the list.

        ``meanwhile`` is called once while the server works, then ``first`` with the first reply as soon as it is here.
        """
        replies: list[Reply] = []
        for number, data in _parts(commands):
            self._owed += number
            self.connection.send_packed_command([data])
            if meanwhile:
                meanwhile()
                meanwhile = None
            if first:
                replies += self._receive(1)
                number -= 1
                first(replies[0])
                first = None
            replies += self._receive(number)
        return replies

    def _receive(self, number: int) -> list[Reply]:
        # The parser behind Connection.read_response, which spends more on each reply than the parsing takes.
        read = self.connection._parser.read_response
        try:
            replies = [read(True) for _reply in range(number)]
        except OSError as error:
            raise RedisConnectionError from error
        self._owed -= number
        return replies

    def run_id(self) -> str:
        """The identity of the server process behind this connection; ``""`` where INFO is not permitted."""
        if self._run_id is None:
            try:
                text: bytes = self.call(b"INFO", b"server")
            except ResponseError:
                text = b""
            self._run_id = next((line[7:].decode() for line in text.splitlines() if line.startswith(b"run_id:")), "")
        return self._run_id

    @property
    def clean(self) -> bool:
        return self._open and not self._owed

    def close(self) -> None:
        self._open = False
        self._owed = 0
        self._run_id = None
        self.connection.disconnect()


def _parts(commands: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    data = b"".join(commands)
    if len(data) <= SEND_BYTES:
        if commands:
            yield len(commands), data
        return
    start = size = 0
    for i, command in enumerate(commands):
        if size and size + len(command) > SEND_BYTES:
            yield i - start, b"".join(commands[start:i])
            start, size = i, 0
        size += len(command)
    yield len(commands) - start, b"".join(commands[start:])

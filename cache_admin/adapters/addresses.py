"""How to reach a server: from an alias's settings to a connection of our own, short-timed, named and never retried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, parse_url
from redis.exceptions import ResponseError
from redis.retry import Retry

from cache_admin import conf
from cache_admin.adapters.connections import pack

CLIENT_NAME = b"cache-admin"
#: Options that the host project's pool consumes, or that are ours to choose.
_NOT_TAKEN = frozenset(
    {
        "cache", "cache_config", "client_name", "decode_responses", "driver_info", "encoding", "encoding_errors",
        "event_dispatcher", "health_check_interval", "legacy_responses", "lib_name", "lib_version",
        "maint_notifications_config", "max_connections", "parser_class", "protocol", "queue_class", "retry",
        "retry_on_error", "retry_on_timeout", "socket_connect_timeout", "socket_timeout", "timeout", "url",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """How to reach one server: the connection class and its arguments, without the database."""

    connection_class: type[Connection]
    options: Mapping[str, Any] = field(repr=False)
    db: int = field(compare=False)

    @classmethod
    def of(cls, url: str, options: Mapping[str, Any]) -> Address:
        """From a LOCATION and the host project's pool options; as in redis-py, what stands in the URL wins.

        Raises ``ValueError`` for a URL that redis-py cannot read.
        """
        given = {**options, **parse_url(url)}  # type: ignore[no-untyped-call]
        if "connection_class" in options:
            given["connection_class"] = options["connection_class"]
        connection_class = given.pop("connection_class", Connection)
        db = int(given.pop("db", None) or 0)
        return cls(connection_class, {name: v for name, v in given.items() if name not in _NOT_TAKEN}, db)

    @property
    def name(self) -> str:
        """Host and port, or the path of a socket; never credentials."""
        if "path" in self.options:
            return str(self.options["path"])
        return f"{self.options.get('host', 'localhost')}:{self.options.get('port', 6379)}"

    def connection(self) -> Connection:
        timeout = conf.current().SERVER_TIMEOUT
        options = dict(self.options)
        greet = options.pop("redis_connect_func", None)
        return self.connection_class(
            **options,
            db=self.db,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            protocol=2,
            redis_connect_func=lambda connection: _greet(connection, greet),
        )


def _greet(connection: Any, own: Callable[[Any], None] | None) -> None:
    """AUTH and SELECT, then a name for CLIENT LIST; a server that forbids the name is served without it.

    NO-TOUCH (Redis 7.2) keeps our looking at keys from making them look recently used.
    """
    connection.driver_info = connection.lib_name = connection.lib_version = None
    (own or type(connection).on_connect)(connection)
    connection.send_packed_command(
        [pack(b"CLIENT", b"SETNAME", CLIENT_NAME) + pack(b"CLIENT", b"NO-TOUCH", b"ON")], check_health=False
    )
    for _reply in range(2):
        with suppress(ResponseError):
            connection.read_response(disable_decoding=True)

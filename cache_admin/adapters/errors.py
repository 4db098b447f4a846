"""The border where errors of redis clients become ours.

:func:`judge` names what went wrong without keeping the client's own text, which may hold a host, an option or a
password; :meth:`Verdict.error` makes the sentence for one alias. Error codes: https://redis.io/docs/latest/develop/reference/protocol-spec/
and ``shared`` in Redis's ``src/server.c``.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import redis.exceptions as client
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from cache_admin.exceptions import CacheAdminError, KeyChanges, NotPermitted, Unavailable, Unsupported, WriteRefused

_COMMAND = re.compile(r"[`']([\w.-]+)(?:\|[\w.-]+)?['`]")
_ERRNO = re.compile(r"Error (\d{1,4}) connecting ")
#: OpenSSL's X509_V_ERR_* codes, see ``man verify``.
_CERTIFICATES = {
    10: _("its certificate has expired"),
    9: _("its certificate is not valid yet"),
    62: _("its certificate is for another host name"),
    64: _("its certificate is for another address"),
    18: _("its certificate is self-signed"),
    19: _("its certificate is self-signed"),
    20: _("its certificate is signed by an unknown authority"),
    21: _("its certificate is signed by an unknown authority"),
}


class ClosedAtOnce(client.ConnectionError):
    """A new connection did not outlive its greeting."""


class Retyped(client.RedisError):
    """A key was replaced by one of another type between two commands."""


class ConnectionLost(Unavailable):
    """The server closed a connection in use; it may well answer on a new one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong with a server. ``silent`` ones mean that it cannot be reached at all, so nobody else need try."""

    kind: type[CacheAdminError]
    sentence: str | Promise
    silent: bool = False
    command: str = ""
    detail: str | Promise = ""

    def error(self, alias: str, since: float) -> CacheAdminError:
        """The exception for one alias; ``since`` is the Unix time of the first failure, in seconds."""
        moment = datetime.fromtimestamp(since, tz=timezone.get_current_timezone())
        text = str(self.sentence) % {
            "alias": alias,
            "since": f"{moment:%H:%M:%S}",
            "command": self.command,
            "detail": self.detail,
        }
        error = NotPermitted(text, self.command) if self.kind is NotPermitted else self.kind(text)
        if self.silent and isinstance(error, Unavailable):
            error.since = since
        return error


TIMED_OUT = Verdict(Unavailable, _("%(alias)s: not answering since %(since)s."), silent=True)
REFUSED = Verdict(
    Unavailable,
    _("%(alias)s: refused connection at %(since)s. The server is not running, or listens elsewhere."),
    silent=True,
)
UNREACHABLE = Verdict(Unavailable, _("%(alias)s: the server cannot be reached since %(since)s."), silent=True)
UNKNOWN_HOST = Verdict(Unavailable, _("%(alias)s: host not found. Check LOCATION."), silent=True)
NOT_TLS = Verdict(
    Unavailable,
    _("%(alias)s: no TLS handshake since %(since)s. Perhaps the server does not speak TLS on this port."),
    silent=True,
)
LOST = Verdict(ConnectionLost, _("%(alias)s: the server closed the connection at %(since)s."))
UNWELCOME = Verdict(
    Unavailable,
    _("%(alias)s: the server closed a new connection at once. Perhaps it has no free connections (maxclients)."),
)
GARBLED = Verdict(Unavailable, _("%(alias)s: the server sent something that is no Redis reply."))
RESTARTED = Verdict(Unavailable, _("%(alias)s: the server was restarted; the listing must start again."))
CROWDED = Verdict(
    Unavailable, _("%(alias)s: both connections of the dashboard to this server are in use. Try again in a moment.")
)
REJECTED = Verdict(Unavailable, _("%(alias)s: credentials rejected. Check the user name and password in LOCATION."))
FULL = Verdict(Unavailable, _("%(alias)s: no free connections on the server (maxclients)."))
LOADING = Verdict(Unavailable, _("%(alias)s: the server is loading its dataset. It answers when that is done."))
MASTERDOWN = Verdict(Unavailable, _("%(alias)s: the replica lost its primary and refuses to show stale data."))
NO_ACCESS = Verdict(NotPermitted, _("%(alias)s: not permitted: the server keeps this key from the dashboard's user."))
CLUSTER = Verdict(
    Unsupported, _("%(alias)s: the server is part of a cluster and this alias is not configured for one.")
)
OUT_OF_MEMORY = Verdict(
    WriteRefused, _("%(alias)s: the server's memory is full and its policy evicts nothing; nothing was changed.")
)

_CLASSES: tuple[tuple[type[Exception], Verdict], ...] = (
    (client.AuthenticationError, REJECTED),
    (client.AuthorizationError, REJECTED),
    (client.BusyLoadingError, LOADING),
    (client.MasterDownError, MASTERDOWN),
    (client.OutOfMemoryError, OUT_OF_MEMORY),
    (
        client.ReadOnlyError,
        Verdict(WriteRefused, _("%(alias)s: connected to a replica; nothing was changed.")),
    ),
    (client.MovedError, CLUSTER),
    (client.AskError, CLUSTER),
    (client.ClusterCrossSlotError, CLUSTER),
    (client.InvalidResponse, GARBLED),
    (ClosedAtOnce, UNWELCOME),
    (Retyped, Verdict(KeyChanges, _("%(alias)s: something changes the type of this key all the time. Look again."))),
    (
        client.ClusterDownError,
        Verdict(Unavailable, _("%(alias)s: the cluster is down: no server takes care of some of its slots.")),
    ),
)
_CODES = {
    "BUSY": Verdict(Unavailable, _("%(alias)s: the server is busy with a script.")),
    "MISCONF": Verdict(
        WriteRefused, _("%(alias)s: the server refuses writes (snapshot failing); nothing was changed.")
    ),
    "NOREPLICAS": Verdict(
        WriteRefused, _("%(alias)s: the server refuses writes (too few replicas); nothing was changed.")
    ),
    "OOM": OUT_OF_MEMORY,
    "NOAUTH": REJECTED,
}


def judge(error: Exception) -> Verdict:
    """What a client's exception means. Never repeats its text."""
    text = str(error)
    if isinstance(error, client.NoPermissionError):
        return _forbidden(text)
    for kind, verdict in _CLASSES:
        if isinstance(error, kind):
            return verdict
    if isinstance(error, client.ResponseError):
        return _response(text)
    if "max number of clients" in text:
        return FULL
    return _connection(error)


def explained(error: BaseException, alias: str) -> CacheAdminError | None:
    """What an error means that left a cache of the project itself; ``None`` if no redis client had a part in it."""
    found = next((cause for cause in _causes(error) if isinstance(cause, client.RedisError)), None)
    return judge(found).error(alias, time.time()) if found else None


def _forbidden(text: str) -> Verdict:
    if "access a key" in text or "access one of the keys" in text:
        return NO_ACCESS
    found = _COMMAND.findall(text)
    return Verdict(
        NotPermitted, _("%(alias)s: not permitted: +%(command)s."), command=found[-1].lower() if found else ""
    )


def _response(text: str) -> Verdict:
    code = text.split(" ", 1)[0]
    if code in _CODES:
        return _CODES[code]
    if "unknown command" in text or "nknown subcommand" in text:
        found = _COMMAND.search(text)
        command = found[1].lower() if found else ""
        if command == "scan":
            sentence = _("%(alias)s: listing not available, the server has no SCAN. Exact keys can be looked up.")
        else:
            sentence = _("%(alias)s: the server does not offer the command %(command)s.")
        return Verdict(Unsupported, sentence, command=command)
    return Verdict(
        Unavailable,
        _("%(alias)s: the server answered with an error (%(detail)s)."),
        detail=code if code.isupper() else "ERR",
    )


def _connection(error: Exception) -> Verdict:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            detail = _CERTIFICATES.get(cause.verify_code, _("its certificate cannot be verified"))
            return Verdict(Unavailable, _("%(alias)s: %(detail)s."), silent=True, detail=detail)
        if isinstance(cause, ssl.SSLError):
            return NOT_TLS
        if isinstance(cause, (socket.gaierror, UnicodeError)):
            return UNKNOWN_HOST
        if isinstance(cause, (ConnectionRefusedError, FileNotFoundError, PermissionError)):
            return REFUSED
        if isinstance(cause, TimeoutError):
            return NOT_TLS if "handshake" in str(cause) else TIMED_OUT
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)):
            return LOST
        if isinstance(cause, OSError):
            return UNREACHABLE
    return TIMED_OUT if isinstance(error, client.TimeoutError) else LOST


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first; client libraries wrap the socket's own.

    django-redis raises the cause of its own error again, so the two lead to each other, and to the socket's no more;
    its number is then left in the text alone.
    """
    met: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and seen not in met:
        met.append(seen)
        yield seen
        seen = seen.__cause__ or seen.__context__
    for one in met:
        if numbered := _ERRNO.match(str(one)):
            yield OSError(int(numbered[1]), "")

"""Memcached: exact keys, and an honest answer while some of its servers are away.

The usual clients take a server that is away for one without the key. So before "not there" is said, every server of
LOCATION is asked for its version, over a connection of our own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from django.utils.translation import ngettext

from cache_admin import conf
from cache_admin.adapters.fallback import FallbackAdapter
from cache_admin.exceptions import Unavailable

PORT = 11211
_AT_ONCE = 16


@dataclass(slots=True)
class MemcachedAdapter(FallbackAdapter):
    """Exact keys of one alias, spread over servers by the project's client."""

    label: ClassVar[str] = "Memcached"
    serves: ClassVar[tuple[str, ...]] = ("django.core.cache.backends.memcached.BaseMemcachedCache",)

    def exists(self, key: str) -> bool:
        return self._surely(lambda: FallbackAdapter.exists(self, key))

    def delete_user_key(self, key: str) -> bool:
        return self._surely(lambda: FallbackAdapter.delete_user_key(self, key))

    def _surely(self, look: Callable[[], bool]) -> bool:
        """What a look finds. Where that is nothing, and a server is away that may hold it: :class:`Unavailable`."""
        try:
            if look():
                return True
        except Unavailable as error:
            if error.since is None:
                self._check()
            raise
        self._check()
        return False

    def _check(self) -> None:
        places: list[str] = list(self.cache._servers)  # type: ignore[attr-defined]
        with ThreadPoolExecutor(max(1, min(len(places), _AT_ONCE))) as pool:
            away = [place for place, there in zip(places, pool.map(answers, places), strict=True) if not there]
        if not away:
            return
        text = ngettext(
            "%(alias)s: %(away)d of %(all)d server does not answer (%(names)s), so keys on it are not found.",
            "%(alias)s: %(away)d of %(all)d servers do not answer (%(names)s), so keys on them are not found.",
            len(places),
        )
        names = ", ".join(away[:5])
        raise Unavailable(text % {"alias": self.alias, "away": len(away), "all": len(places), "names": names})


def answers(place: str) -> bool:
    """Whether a server says anything within ``SERVER_TIMEOUT``. One that wants TLS or a login closes the connection,
    which is an answer too."""
    try:
        with closing(_connected(place)) as link:
            link.sendall(b"version\r\n")
            link.recv(64)
    except ConnectionResetError:
        return True
    except OSError:
        return False
    return True


def _connected(place: str) -> socket.socket:
    timeout = conf.current().SERVER_TIMEOUT
    path = place.removeprefix("unix:")
    if path.startswith("/"):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout)
        try:
            link.connect(path)
        except OSError:
            link.close()
            raise
        return link
    host, port = _host_and_port(place)
    return socket.create_connection((host, port), timeout)


def _host_and_port(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdecimal() or place.endswith("]"):
        host, port = place, str(PORT)
    return host.removeprefix("inet:").removeprefix("inet6:").strip("[]"), int(port)

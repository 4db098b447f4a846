"""A proxy in front of a server's unix socket that can swallow, delay or cut what the server says."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path


class Proxy:
    """Forwards until told otherwise. ``silent`` swallows replies; ``delay`` holds them back for so many seconds;
    ``cut_after`` closes a connection after so many bytes of a reply."""

    def __init__(self, directory: Path, target: Path) -> None:
        self.path = directory / "proxy.sock"
        self.target = target
        self.silent = False
        self.delay = 0.0
        self.cut_after: int | None = None
        self.opened = 0
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.target))
                self.opened += 1
                self._sockets += [near, far]
                for source, sink, replies in ((near, far, False), (far, near, True)):
                    thread = threading.Thread(target=self._pump, args=(source, sink, replies), daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not replies:
                    sink.sendall(data)
                elif self.silent:
                    continue
                elif self.cut_after is not None:
                    sink.sendall(data[: self.cut_after])
                    self.cut_after = None
                    break
                else:
                    time.sleep(self.delay)
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)

"""Ending a process together with the one that started it, and cleanly on Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_with_parent(parent: int = 0) -> None:
    """Ctrl-C, SIGTERM, SIGHUP and the death of the parent process raise ``SystemExit`` in the main thread, once.

    ``parent`` is the id of the process that started this one, where that one may be gone before this is called.
    """
    for number in SIGNALS:
        signal.signal(number, _leave)
    threading.Thread(target=_watch, args=(parent or os.getppid(),), name="parent-watch", daemon=True).start()


def _leave(number: int, frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)

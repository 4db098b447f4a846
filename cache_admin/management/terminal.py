"""What the commands share: exit codes, a progress bar, and driving an operation that Ctrl-C ends cleanly."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import threading
from argparse import RawDescriptionHelpFormatter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter, OutputWrapper
from django.db import DatabaseError
from django.utils.translation import gettext as _

from cache_admin.exceptions import CacheAdminError, InvalidPattern, NotPermitted, Unavailable, UnknownAlias
from cache_admin.models import Operation
from cache_admin.monitoring import sampler
from cache_admin.operations import runner
from cache_admin.operations.base import Cancelled, Plan

FAILED = 1
USAGE = 2
INTERRUPTED = 3
CANCELLED = 4
UNAVAILABLE = 5
EXIT_CODES = f"""Exit codes: 0 done, also when nothing matched; {FAILED} failed; {USAGE} wrong usage, bad pattern,
unknown alias or no way to ask; {INTERRUPTED} stopped in the middle, can be resumed in the admin; {CANCELLED} declined
or cancelled; {UNAVAILABLE} the server does not answer or does not permit it."""
_WIDTH = 30
_CODES = {
    Operation.State.INTERRUPTED: INTERRUPTED,
    Operation.State.CANCELLED: CANCELLED,
    Operation.State.RUNNING: INTERRUPTED,
}


class _HelpFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps the lines of an epilog, and the options of every command behind those of this one."""


class TerminalCommand(BaseCommand):
    """A command whose help ends with its exit codes and what ``--json`` prints."""

    epilog: ClassVar[str]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, epilog=self.epilog, formatter_class=_HelpFormatter, **kwargs
        )

    def write_json(self, content: object) -> None:
        """One JSON document on a line of standard output."""
        self.stdout.write(json.dumps(content, ensure_ascii=False))

    def write_table(self, rows: Sequence[Sequence[str]], figures: Collection[int] = ()) -> None:
        """Rows in columns; ``figures`` are the indexes of those that end flush."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.rjust(widths[i]) if i in figures else cell.ljust(widths[i]) for i, cell in enumerate(row))
            self.stdout.write("  ".join(cells).rstrip())


@contextmanager
def spoken_errors() -> Iterator[None]:
    """Turns our errors into a line on stderr and an exit code. At the end writes down how often this process looked at
    keys, so that the hit rate of the server is told without those looks."""
    try:
        yield
    except (InvalidPattern, UnknownAlias) as error:
        raise CommandError(str(error), returncode=USAGE) from error
    except (Unavailable, NotPermitted) as error:
        raise CommandError(str(error), returncode=UNAVAILABLE) from error
    except CacheAdminError as error:
        raise CommandError(str(error), returncode=FAILED) from error
    except DatabaseError as error:
        text = _("The database does not take the record of this (%(error)s). Has migrate been run?")
        raise CommandError(text % {"error": type(error).__name__}, returncode=FAILED) from error
    except BrokenPipeError:
        # The reader has gone, as `| head` does. Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        raise CommandError(_("Cancelled. Nothing was changed."), returncode=CANCELLED) from None
    finally:
        sampler.tell_looks()


def run(plan: Plan, reason: str, stderr: OutputWrapper) -> Operation:
    """Runs a plan here and now, with a progress bar where ``stderr`` is a terminal. Ctrl-C ends it at its next step."""
    operation, _created = runner.begin(plan, None, reason, username=username())
    bar = ProgressBar(stderr)
    with interruptible() as interrupted:

        def watch(row: Operation) -> None:
            bar.show(row.scanned, row.total, row.done_keys)
            if interrupted.is_set():
                raise Cancelled(_("Cancelled at the terminal."))

        try:
            return runner.run(operation, watch)
        finally:
            bar.clear()


def check(operation: Operation) -> None:
    """Raises ``CommandError`` with the exit code of an operation that did not come to its end."""
    if operation.state != Operation.State.DONE:
        state = Operation.State(operation.state)
        text = operation.error or state.label
        raise CommandError(text, returncode=_CODES.get(state, FAILED))


class ProgressBar:
    """One line that is written over; nothing where the output is no terminal."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out if out.isatty() else None

    def show(self, scanned: int, total: int | None, done: int) -> None:
        """``scanned`` of ``total`` as a bar, and the number ``done`` behind it."""
        if self._out:
            share = min(1.0, scanned / total) if total else 0.0
            filled = round(share * _WIDTH)
            number = f"  {done:,}" if done else ""
            self._out.write(f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%}{number} ", ending="")
            self._out.flush()

    def say(self, text: str) -> None:
        """Words in place of the bar."""
        if self._out:
            self._out.write(f"\r{text[: _WIDTH + 29]:{_WIDTH + 29}}", ending="")
            self._out.flush()

    def clear(self) -> None:
        if self._out:
            self._out.write("\r" + " " * (_WIDTH + 30) + "\r", ending="")
            self._out.flush()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking whatever runs; a second one breaks it. Where it is ignored, as in the
    background of a shell script, it stays so."""
    event = threading.Event()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored or threading.current_thread() is not threading.main_thread():
        yield event
        return

    def stop(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def username() -> str:
    """Who sits at the terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"

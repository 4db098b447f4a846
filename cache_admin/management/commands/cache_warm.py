"""``manage.py cache_warm``: fills caches, after a deploy or a flush."""

from __future__ import annotations

import threading
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin import words
from cache_admin.caching.warmers import Warmer, chosen, discover
from cache_admin.caching.warming import CacheWarmer, Result
from cache_admin.management import terminal
from cache_admin.templatetags.cache_admin import seconds

_CODES = f"""Exit codes: 0 all warmers chosen are done; {terminal.FAILED} one failed, took too long, or runs already;
{terminal.USAGE} unknown name or group; {terminal.CANCELLED} cancelled by Ctrl-C.

With --json, one object on standard output: warmers (a list of name, state, written, seconds, error, at) and ok; with
--list a list of name, group, critical, alias, patterns, every and last (the last run, or null)."""


class Command(terminal.TerminalCommand):
    help = "Run the warmers of the project: functions that fill a cache before anybody asks. All without a choice."
    epilog = _CODES

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="of warmers; see --list")
        parser.add_argument("--group", default="", help="only those of this group")
        parser.add_argument("--critical", action="store_true", help="only those marked as critical")
        parser.add_argument("--due", action="store_true", help="only those whose interval (every) has passed, for cron")
        parser.add_argument("--concurrent", type=int, default=1, metavar="N", help="so many at a time (default: 1)")
        parser.add_argument("--list", action="store_true", help="only show what there is")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        discover()
        try:
            todo = chosen(options["names"], group=options["group"], critical=options["critical"])
        except LookupError as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from None
        if options["concurrent"] < 1:
            raise CommandError(_("--concurrent is at least 1."), returncode=terminal.USAGE)
        if options["due"]:
            due = CacheWarmer.due()
            todo = tuple(one for one in todo if one in due)
        if options["list"]:
            self.show_list(todo, as_json=options["json"])
            return
        with terminal.interruptible() as stop:
            bar = _Bar(self.stderr, len(todo))
            results = CacheWarmer.run(todo, concurrent=options["concurrent"], progress=bar.show, stop=stop)
            bar.clear()
        self.tell(results, as_json=options["json"])
        if stop.is_set():
            raise CommandError(_("Cancelled."), returncode=terminal.CANCELLED)
        if bad := [result for result in results if result.state != "done"]:
            names = ", ".join(result.name for result in bad)
            text = ngettext("%(number)d warmer failed: %(names)s.", "%(number)d warmers failed: %(names)s.", len(bad))
            raise CommandError(text % {"number": len(bad), "names": names}, returncode=terminal.FAILED)

    def show_list(self, todo: Sequence[Warmer], *, as_json: bool) -> None:
        if as_json:
            self.write_json([_facts(one) for one in todo])
            return
        if not todo:
            self.stdout.write(_("There are no such warmers."))
            return
        header = (_("warmer"), _("group"), "", _("cache"), _("last run"), _("fills"))
        self.write_table([header, *(_row(one, time.time()) for one in todo)])

    def tell(self, results: Sequence[Result], *, as_json: bool) -> None:
        if as_json:
            ok = all(result.state == "done" for result in results)
            self.write_json({"warmers": [asdict(one) for one in results], "ok": ok})
            return
        for one in results:
            line = f"{one.name}  {one.state}  {one.written:,}  {one.seconds:.1f} s  {one.error}".rstrip()
            self.stdout.write(line if one.state == "done" else self.style.ERROR(line))
        if not results:
            self.stdout.write(_("There is nothing to warm."))


def _row(one: Warmer, now: float) -> tuple[str, ...]:
    last = CacheWarmer.last(one)
    ran = _("never")
    if last:
        values = {"state": last.state, "number": words.number(last.written), "age": seconds(max(0.0, now - last.at))}
        ran = _("%(state)s %(age)s ago, %(number)s written") % values
    return one.name, one.group, _("critical") if one.critical else "", one.alias, ran, " ".join(one.patterns)


def _facts(one: Warmer) -> dict[str, Any]:
    last = CacheWarmer.last(one)
    names = ("name", "group", "critical", "alias", "patterns", "every")
    return {name: getattr(one, name) for name in names} | {"last": asdict(last) if last else None}


class _Bar:
    """Progress of all threads on one line: warmers that have begun to write, and what they wrote."""

    def __init__(self, out: OutputWrapper, total: int) -> None:
        self._bar = terminal.ProgressBar(out)
        self._total = total
        self._written: dict[str, int] = {}
        self._lock = threading.Lock()

    def show(self, name: str, written: int) -> None:
        with self._lock:
            self._written[name] = written
            done = len(self._written) - 1
            self._bar.show(done, self._total, sum(self._written.values()))

    def clear(self) -> None:
        self._bar.clear()

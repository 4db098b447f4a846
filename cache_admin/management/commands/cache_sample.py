"""``manage.py cache_sample``: reads the servers' counters for the history, from cron or beside the application."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from cache_admin.management import terminal
from cache_admin.models import Lease
from cache_admin.monitoring import sampler
from cache_admin.monitoring.sampler import NodeReading, Sampling
from cache_admin.monitoring.samples import STEP

_CODES = f"""Exit codes: 0 all servers were read, by this process or by another one that does it now;
{terminal.FAILED} the database takes no samples; {terminal.USAGE} wrong usage; {terminal.UNAVAILABLE} a server does not
answer or does not permit it. With --every it goes on over failures until Ctrl-C, and then ends with 0.

With --json, one object a line and round: at (Unix time) and servers, a list of server, state ("sampled", "failed", or
"left" to another process), keys, memory, hits, misses, error."""


class Command(terminal.TerminalCommand):
    help = "Read the counters of all servers once and store them for the history. One process at a time does it."
    epilog = _CODES

    def add_arguments(self, parser: ArgumentParser) -> None:
        often = parser.add_mutually_exclusive_group()
        often.add_argument("--once", action="store_true", help="the default, for cron")
        often.add_argument("--every", type=float, metavar="SECONDS", help="again and again, for a sidecar")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        every = options["every"]
        if every is not None and not every >= STEP:
            text = _("--every is at least %(seconds)d seconds.")
            raise CommandError(text % {"seconds": STEP}, returncode=terminal.USAGE)
        with terminal.spoken_errors():
            Lease.objects.exists()  # a missing table is told once; later refusals only cost history
            try:
                found = self.round(as_json=options["json"])
                if every is not None:
                    self.go_on(every, as_json=options["json"])
                    return
            finally:
                sampler.give_up()
        if failed := [one for one in found.taken if one.error]:
            raise CommandError(" ".join(str(one.error) for one in failed), returncode=terminal.UNAVAILABLE)

    def go_on(self, every: float, *, as_json: bool) -> None:
        with terminal.interruptible() as stop:
            due = time.monotonic() + every
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + every, time.monotonic())
                self.round(as_json=as_json)

    def round(self, *, as_json: bool) -> Sampling:
        found = sampler.sample_all()
        if as_json:
            servers = [_facts(one) for one in found.taken]
            servers += [{"server": node.name, "state": "left"} for node in found.left]
            self.write_json({"at": round(time.time(), 3), "servers": servers})
        else:
            for one in found.taken:
                self.stdout.write(_line(one))
            for node in found.left:
                self.stdout.write(_("%(server)s: another process reads it") % {"server": node.name})
            if not found.taken and not found.left:
                self.stdout.write(_("No cache has a server that tells its counters."))
        self.stdout.flush()
        return found


def _line(one: NodeReading) -> str:
    name = one.node.name
    return f"{name}: {one.error}" if one.error else _("%(server)s: read") % {"server": name}


def _facts(one: NodeReading) -> dict[str, Any]:
    info = None if one.error else one.info
    names = ("keys", "memory", "hits", "misses")
    figures = {name: getattr(info, name) for name in names} if info else {}
    return {
        "server": one.node.name,
        "state": "failed" if one.error else "sampled",
        **figures,
        "error": str(one.error) if one.error else "",
    }

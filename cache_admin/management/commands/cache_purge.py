"""``manage.py cache_purge``: what the page Invalidate does, for scripts and terminals."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cache_admin import words
from cache_admin.adapters import adapter
from cache_admin.management import terminal
from cache_admin.models import Operation
from cache_admin.operations.base import PatternShare, Plan
from cache_admin.operations.purge import plan
from cache_admin.operations.targets import Target
from cache_admin.views.naming import name_of

#: A terminal waits longer for an exact figure than a page does.
_LOOK_MILLISECONDS = 20_000
_JSON = """With --json, one object on standard output: alias; pattern (as typed, null when several) and patterns (all
as typed); globs (as sent to the server); matched (keys found, protected ones left out) and exact; deleted (keys), bytes
(of the deleted keys, or with --dry-run of the matched ones), expiring (keys, with --over); protected (keys left
alone); dry_run; over; state ("planned", "nothing", or how the operation ended); operation (its id in the admin);
warnings; error."""


class Command(terminal.TerminalCommand):
    help = "Delete the keys of a cache that match patterns, after showing how many they are; never more than those."
    epilog = f"{terminal.EXIT_CODES}\n\n{_JSON}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "globs", nargs="+", metavar="GLOB", help="of user keys, e.g. 'product:*'; as Redis reads it"
        )
        parser.add_argument("--alias", default="default", help="key of CACHES (default: %(default)s)")
        parser.add_argument("--literal", action="store_true", help="take GLOB as exact keys")
        parser.add_argument("--over", type=int, metavar="SECONDS", help="let the keys expire, spread over this time")
        parser.add_argument("--include-protected", action="store_true", help="sessions, locks, throttles, queues too")
        parser.add_argument("--fast", action="store_true", help="without pauses for the server")
        parser.add_argument("--dry-run", action="store_true", help="only show what would go")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--reason", default="", help="for the audit")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with terminal.spoken_errors():
            make = Target.literal if options["literal"] else Target.glob
            found = plan(
                options["alias"],
                [make(typed) for typed in options["globs"]],
                None,
                over=options["over"],
                include_protected=options["include_protected"],
                fast=options["fast"],
                budget_ms=_LOOK_MILLISECONDS,
            )
            if not options["json"]:
                self.tell(found)
            operation = None
            if not options["dry_run"] and (found.keys or not found.exact):
                if not options["yes"]:
                    self.ask(found)
                operation = terminal.run(found, options["reason"], self.stderr)
        if options["json"]:
            self.write_json(result(found, operation, options))
        if operation:
            if not options["json"]:
                self.stdout.write(outcome(operation))
            terminal.check(operation)

    def tell(self, found: Plan) -> None:
        self.stdout.write(found.sentence)
        for share in found.going:
            self.stdout.write(self.line("  - ", share, found))
        for share in found.staying:
            why = _("protected") if share.protected else _("not matched")
            self.stdout.write(self.line("  = ", share, found) + f"  ({_('stays')}: {why})")
        for warning in found.warnings:
            self.stdout.write(self.style.WARNING(warning))

    def line(self, mark: str, share: PatternShare, found: Plan) -> str:
        cache = adapter(found.alias)
        pattern = share.pattern or _("other patterns")
        example = name_of(cache, share.examples[0]).text if share.examples else ""
        keys, size = words.keys(share.keys, exact=found.exact), words.size(share.size, exact=found.exact)
        return f"{mark}{pattern}  {keys}, {size}  {_('e.g.')} {example}"

    def ask(self, found: Plan) -> None:
        if not sys.stdin.isatty():
            text = _("There is no terminal to ask on. Nothing was changed; add --yes to go on without asking.")
            raise CommandError(text, returncode=terminal.USAGE)
        if found.typed_name:
            wanted = found.typed_name
            answer = input(_("Type the name of the alias (%(name)s) to go on: ") % {"name": wanted})
        else:
            wanted, answer = "y", input(_("Go on? [y/N] ")).strip().lower()
        if answer != wanted:
            raise CommandError(_("Declined. Nothing was changed."), returncode=terminal.CANCELLED)


def result(found: Plan, operation: Operation | None, options: dict[str, Any]) -> dict[str, Any]:
    """The object of ``--json``, see the help text."""
    typed: list[str] = options["globs"]
    done = operation.done_keys if operation else 0
    expires = options["over"] is not None
    protected = sum(share.keys for share in found.staying if share.protected)
    return {
        "alias": found.alias,
        "pattern": typed[0] if len(typed) == 1 else None,
        "patterns": typed,
        "globs": list(found.globs),
        "matched": found.keys,
        "exact": found.exact,
        "deleted": 0 if expires else done,
        "expiring": done if expires else 0,
        "bytes": operation.done_bytes if operation else found.size if options["dry_run"] else 0,
        "protected": operation.skipped_keys if operation else protected,
        "dry_run": options["dry_run"],
        "over": options["over"],
        "state": operation.state if operation else "planned" if options["dry_run"] else "nothing",
        "operation": str(operation.pk) if operation else None,
        "warnings": list(found.warnings),
        "error": operation.error if operation else "",
    }


def outcome(operation: Operation) -> str:
    """One line on what was done."""
    values = {"keys": words.keys(operation.done_keys), "size": words.size(operation.done_bytes)}
    if operation.kind == "expire":
        text = _("%(keys)s will expire.") % values
    else:
        text = _("Deleted %(keys)s (%(size)s).") % values
    if operation.skipped_keys:
        left = ngettext("%(keys)s stays, protected.", "%(keys)s stay, protected.", operation.skipped_keys)
        text += " " + left % {"keys": words.keys(operation.skipped_keys)}
    return text

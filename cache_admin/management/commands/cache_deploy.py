"""``manage.py cache_deploy``: marks the moment at which other code begins to run, for the page Deploys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from cache_admin import words
from cache_admin.adapters import adapter, aliases
from cache_admin.exceptions import CacheAdminError
from cache_admin.keyspace.holdings import Contents, load, together
from cache_admin.management import terminal
from cache_admin.models import Deploy
from cache_admin.operations import census, deploying
from cache_admin.operations.driving import TERMINAL

_CODES = f"""Exit codes: 0 marked, also when a server was away, which costs its contents only; {terminal.FAILED} failed,
nothing was marked; {terminal.USAGE} wrong usage, or an empty label; {terminal.CANCELLED} cancelled while scanning,
nothing was marked.

With --json, one object on standard output: id, label, at (Unix time), username, and contents, by alias: version,
prefix, complete, scanned and total (keys of the database), keys, bytes and patterns (how many) of the alias; or
error."""


class Command(terminal.TerminalCommand):
    help = "Mark a deploy: from now on other code runs. The admin compares every pattern before and after it."
    epilog = _CODES

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", metavar="LABEL", help="of the release: a version, a tag, the id of a commit")
        parser.add_argument("--full", action="store_true", help="look at every key of all caches first, gently")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        label: str = options["label"].strip()
        if not label:
            raise CommandError(_("A deploy needs a label."), returncode=terminal.USAGE)
        with terminal.spoken_errors():
            if options["full"]:
                self.scan()
            deploy = deploying.mark(label, TERMINAL + terminal.username())
        held = {alias: contents for alias in deploy.contents if (contents := load(deploy.contents[alias]))}
        for alias, contents in held.items():
            if contents.error:
                text = _("What %(alias)s holds is not known: %(why)s") % {"alias": alias, "why": contents.error}
                self.stderr.write(self.style.WARNING(text))
        if options["json"]:
            self.write_json(result(deploy, held))
        else:
            self.stdout.write(_("Marked the deploy %(label)s.") % {"label": deploy.label})
            for alias, contents in held.items():
                if not contents.error:
                    self.stdout.write(line(alias, contents))

    def scan(self) -> None:
        """Complete scans; what ends one but Ctrl-C is said, and the others go on."""
        for alias in aliases():
            try:
                if not adapter(alias).can_list:
                    continue
                terminal.check(terminal.run(census.plan(alias), "", self.stderr))
            except CacheAdminError as error:
                self.stderr.write(self.style.WARNING(str(error)))
            except CommandError as error:
                if error.returncode == terminal.CANCELLED:
                    raise
                self.stderr.write(self.style.WARNING(f"{alias}: {error}"))


def line(alias: str, contents: Contents) -> str:
    """ "default: 41,233 keys, 312 MB in 40 patterns (all 52,000 keys)" """
    whole = together(contents.holdings)
    share = _("all %(total)s") if contents.complete else _("sampled %(scanned)s of %(total)s")
    seen = share % {"scanned": words.number(contents.scanned), "total": words.keys(contents.total)}
    keys, size = whole.keys, whole.size
    amount = f"{words.keys(keys.value, exact=keys.exact)}, {words.size(size.value, exact=size.exact)}"
    return f"{alias}: {amount}  ({seen})"


def result(deploy: Deploy, held: dict[str, Contents]) -> dict[str, Any]:
    """The object of ``--json``, see the help text."""
    return {
        "id": deploy.pk,
        "label": deploy.label,
        "at": deploy.at,
        "username": deploy.username,
        "contents": {alias: _summary(contents) for alias, contents in held.items()},
    }


def _summary(contents: Contents) -> dict[str, Any]:
    if contents.error:
        return {"error": contents.error}
    whole = together(contents.holdings)
    return {
        "version": contents.version,
        "prefix": contents.prefix,
        "complete": contents.complete,
        "scanned": contents.scanned,
        "total": contents.total,
        "keys": round(whole.keys.value),
        "bytes": round(whole.size.value),
        "patterns": len(contents.holdings),
    }

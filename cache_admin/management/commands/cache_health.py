"""``manage.py cache_health``: what is wrong with the caches, for a pipeline, a monitor or a terminal."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from cache_admin import conf, words
from cache_admin.adapters import adapter, aliases
from cache_admin.exceptions import CacheAdminError, UnknownAlias
from cache_admin.health import checking, counted, limits, public, wording
from cache_admin.health.checking import Health
from cache_admin.health.limits import Outcome
from cache_admin.management import terminal
from cache_admin.models import Deploy
from cache_admin.monitoring import deploys

LOW = 3
LONGEST_WAIT = 3_600
HOUR = 3_600.0
_CODES = f"""Exit codes: 0 nothing is bad, warnings or not; {terminal.FAILED} a bad finding that is not muted, or a
cache that cannot be loaded; {terminal.USAGE} wrong usage, unknown alias, or no deploy was ever marked; {LOW} the hit
rate of a pattern is under its limit; {terminal.CANCELLED} cancelled while waiting; {terminal.UNAVAILABLE} a server does
not answer or does not permit it. Of several, {terminal.UNAVAILABLE} goes before {LOW}, and that before
{terminal.FAILED}.

A PATTERN of --fail-under is one that the pages show; else it is taken for a glob over all of them. With fewer look-ups
than --min-lookups it is said, and does not fail.

With --json, one object on standard output: ok, code (the exit code), at (Unix time), deploy (label and at, or null),
caches and limits. A cache has alias, level (bad, warn, good), verdict, findings (code, level, text, evidence, mend,
page), muted (code, text, found, reason, username, created), more, notes; or error. A limit has pattern, least, alias,
lookups, hit_rate, since (Unix time), state (held, under, "too few")."""


class Command(terminal.TerminalCommand):
    help = "Tell what is wrong with the caches, with evidence and what to do. Muted findings do not fail."
    epilog = _CODES

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--alias", action="append", help="key of CACHES; may be repeated (default: all that are shown)"
        )
        parser.add_argument(
            "--fail-under", action="append", default=[], metavar="PATTERN=RATE", help="least hit rate; may be repeated"
        )
        parser.add_argument(
            "--since-deploy", action="store_true", help="hit rates since the last deploy, not of the last hour"
        )
        parser.add_argument(
            "--min-lookups",
            type=int,
            default=limits.LOOKUPS,
            metavar="N",
            help="for a hit rate to be judged (%(default)s)",
        )
        parser.add_argument("--wait", type=float, metavar="SECONDS", help="until so long after the last deploy")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with terminal.spoken_errors():
            asked = [limits.parse(text) for text in options["fail_under"]]
            wait = options["wait"]
            if wait is not None and not 0 <= wait <= LONGEST_WAIT:
                text = _("--wait takes 0 to %(most)d seconds.") % {"most": LONGEST_WAIT}
                raise CommandError(text, returncode=terminal.USAGE)
            names = self.names(options["alias"])
            deploy = deploys.latest()
            if deploy is None and (options["since_deploy"] or wait is not None):
                text = _("No deploy was marked yet. Run manage.py cache_deploy LABEL first.")
                raise CommandError(text, returncode=terminal.USAGE)
            if deploy and wait is not None:
                self.wait(deploy.at + wait)
            since = deploy.at if deploy and options["since_deploy"] else time.time() - HOUR
            found = {name: self.look(name) for name in names}
            outcomes = self.judge(names, asked, since, options["min_lookups"])
        code, why = _judged(found, outcomes)
        if options["json"]:
            content = public.as_json(found, outcomes, since=since, deploy=deploy, code=code)
            self.write_json(content)
        else:
            for name, health in found.items():
                self.tell(name, health)
            for one in outcomes:
                self.tell_limit(one, deploy if options["since_deploy"] else None)
        self.stdout.flush()
        if code:
            raise CommandError(why, returncode=code)

    def names(self, wanted: Sequence[str] | None) -> list[str]:
        for name in wanted or ():
            if name not in aliases():
                raise UnknownAlias(
                    _("There is no cache named %(alias)s. There are: %(names)s.")
                    % {"alias": name, "names": ", ".join(aliases())}
                )
        return list(dict.fromkeys(wanted or aliases()))

    def look(self, name: str) -> Health | CacheAdminError:
        try:
            return checking.check(adapter(name))
        except CacheAdminError as error:
            return error

    def judge(self, names: Sequence[str], asked: Sequence[limits.Limit], since: float, lookups: int) -> list[Outcome]:
        if not asked:
            return []
        try:
            counts = {name: counted.since(name, since, time.time()) for name in names}
        except LookupError as error:
            raise CommandError(str(error), returncode=terminal.FAILED) from error
        return limits.judge(asked, counts, share=conf.current().RECORDING_SHARE, lookups=lookups)

    def wait(self, until: float) -> None:
        """Until a Unix time, with a line that counts down where standard error is a terminal."""
        line = terminal.ProgressBar(self.stderr)
        end = time.monotonic() + until - time.time()
        try:
            while (left := end - time.monotonic()) > 0:
                line.say(_("Waiting for %(time)s") % {"time": wording.duration(max(1.0, left))})
                time.sleep(min(left, 1.0))
        finally:
            line.clear()

    def tell(self, name: str, health: Health | CacheAdminError) -> None:
        if isinstance(health, CacheAdminError):
            self.stdout.write(self.style.ERROR(str(health)))
            return
        paint = {"bad": self.style.ERROR, "warn": self.style.WARNING}
        verdict = health.verdict
        self.stdout.write(paint.get(verdict.level, self.style.SUCCESS)(f"{name}: {verdict.text}"))
        for finding in health.findings:
            self.stdout.write(f"  {finding.level:4}  {finding.text}  [{finding.code}]")
            for line in (" \u00b7 ".join(finding.evidence), finding.mend):
                if line:
                    self.stdout.write(f"        {line}")
        if health.more:
            self.stdout.write(_("  and %(number)d more of the same kinds") % {"number": health.more})
        for one in health.muted:
            if one.finding:
                said = {"text": one.finding.text, "name": one.row.username, "reason": one.row.reason}
                self.stdout.write(_("  muted %(text)s (%(name)s: %(reason)s)") % said)
        for note in health.notes:
            self.stdout.write(f"  {note}")

    def tell_limit(self, one: Outcome, deploy: Deploy | None) -> None:
        when = _("since the deploy %(label)s") % {"label": deploy.label} if deploy else _("in the last hour")
        figures = {
            "pattern": one.limit.pattern,
            "alias": one.alias,
            "rate": wording.percent(one.hit_rate or 0.0),
            "least": wording.percent(one.limit.least),
            "lookups": words.number(one.lookups),
            "when": when,
        }
        if one.state == "too few":
            self.stdout.write(_("%(pattern)s: too few look-ups %(when)s to judge (%(lookups)s)") % figures)
            return
        text = _("%(pattern)s of %(alias)s: hit rate %(rate)s of %(lookups)s look-ups %(when)s; at least %(least)s")
        paint = self.style.ERROR if one.state == "under" else self.style.SUCCESS
        self.stdout.write(paint(text % figures))


def _judged(found: Mapping[str, Health | CacheAdminError], outcomes: Sequence[Outcome]) -> tuple[int, str]:
    """The exit code, and why it is not 0."""
    bad = [
        (name, finding)
        for name, health in found.items()
        if isinstance(health, Health)
        for finding in health.findings
        if finding.level == "bad"
    ]
    silent = [f"{name}: {finding.text}." for name, finding in bad if finding.kind == "silent"]
    under = [one.limit.pattern for one in outcomes if one.state == "under"]
    broken = [str(health) for health in found.values() if isinstance(health, CacheAdminError)]
    if silent:
        return terminal.UNAVAILABLE, " ".join(silent)
    if under:
        return LOW, _("Under the limit: %(patterns)s.") % {"patterns": words.some(under)}
    if broken:
        return terminal.FAILED, " ".join(broken)
    return (terminal.FAILED, " ".join(f"{name}: {finding.text}." for name, finding in bad[:3])) if bad else (0, "")

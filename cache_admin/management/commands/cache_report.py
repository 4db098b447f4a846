"""``manage.py cache_report``: what fills a cache, for scripts and terminals."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from cache_admin import conf, words
from cache_admin.adapters import adapter
from cache_admin.exceptions import Unavailable
from cache_admin.keyspace import census, growth, public, reports, unreadable
from cache_admin.keyspace.report import Estimate, PatternStats, Report
from cache_admin.management import terminal
from cache_admin.operations import census as operation_census
from cache_admin.operations import values as operation_values
from cache_admin.views.naming import name_of, texts_of

_ROWS = 30
_JSON = """With --json, one object on standard output: alias, complete, scanned and total (keys of the database, all
owners), keys, bytes, started, seconds, measured, patterns, other (beyond the limit of patterns), foreign (keys that
are not this alias's), large_keys, notes. A pattern has pattern, keys, bytes, no_expiry (keys that never expire), their
shares (keys_share, bytes_share, no_expiry_share: 0 to 1), mean_bytes, largest_bytes, largest_key, ttl, types,
examples, family, title, protected, exact. Where a figure is estimated, NAME_low and NAME_high are its 95 % interval.
A large key has key, bytes, pattern, family, type, expires, ttl (seconds). Key names that are secrets are masked.

With --values --json: alias, complete, scanned, total, looked_at, unreadable, refused, serializer, compressor, django,
python, started, seconds, patterns: those with any fault, as pattern, keys, looked_at, unreadable, faults (code,
detail, text, fatal, values, example)."""


class Command(terminal.TerminalCommand):
    help = "Show what fills a cache: patterns with keys and bytes, and the largest keys. A sample, unless --full."
    epilog = f"{terminal.EXIT_CODES}\n\n{_JSON}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--alias", default="default", help="key of CACHES (default: %(default)s)")
        parser.add_argument("--full", action="store_true", help="look at every key, gently; stored for the admin too")
        parser.add_argument("--fast", action="store_true", help="as --full, without pauses for the server")
        parser.add_argument(
            "--values", action="store_true", help="look at some values instead: which can nobody read any more?"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        alias: str = options["alias"]
        with terminal.spoken_errors():
            if options["values"]:
                self.values(alias, fast=options["fast"], as_json=options["json"])
                return
            cache = adapter(alias)
            if options["full"] or options["fast"]:
                report = self.scan(alias, fast=options["fast"])
            else:
                report = census.sample(cache, conf.current().SAMPLE_MILLISECONDS)
            if options["json"]:
                content = public.as_json(report, texts_of(adapter(alias)), growth.changes(report))
                self.write_json(content)
            else:
                self.tell(report)

    def scan(self, alias: str, *, fast: bool) -> Report:
        operation = terminal.run(operation_census.plan(alias, fast=fast), "", self.stderr)
        terminal.check(operation)
        report = reports.latest(alias)
        if report is None:
            raise Unavailable(_("The scan is over, but its report cannot be read back from the database."))
        return report

    def values(self, alias: str, *, fast: bool, as_json: bool) -> None:
        terminal.check(terminal.run(operation_values.plan(alias, fast=fast), "", self.stderr))
        look = unreadable.latest(alias)
        if look is None:
            raise Unavailable(_("The look is over, but its report cannot be read back from the database."))
        if as_json:
            self.write_json(operation_values.as_json(look, texts_of(adapter(alias))))
            return
        words_of = {"number": words.number(look.looked_at), "unreadable": words.number(look.unreadable)}
        self.stdout.write(f"{alias}: " + _("%(unreadable)s of %(number)s values cannot be read") % words_of)
        rows = [
            (pattern.pattern, f"{pattern.unreadable}/{pattern.looked_at}", text)
            for pattern in look.patterns
            for text in (operation_values.sentence_of(look, trouble) for trouble in pattern.troubles)
        ]
        self.write_table(rows, figures={1})

    def tell(self, report: Report) -> None:
        share = _("all %(total)s") if report.complete else _("sampled %(scanned)s of %(total)s")
        values = {"scanned": words.number(report.scanned), "total": words.keys(report.total)}
        own = f"{_keys(report.own_keys)}, {_size(report.own_size)}"
        self.stdout.write(f"{report.alias}: {own}  ({share % values})")
        for note in report.notes:
            self.stdout.write(self.style.WARNING(note))
        rows = [_row(stats) for stats in report.patterns[:_ROWS]]
        self.part((_("pattern"), _("keys"), _("memory"), _("share"), _("no expiry")), rows, {1, 2, 3, 4})
        if (more := len(report.patterns) - _ROWS) > 0:
            self.stdout.write(_("and %(number)s more patterns") % {"number": words.number(more)})
        if report.foreign:
            foreign = [
                (one.pattern, _keys(one.keys), _size(one.size) if one.size.value else _("no access"), one.owner)
                for one in report.foreign[:_ROWS]
            ]
            self.part((_("not of this alias"), _("keys"), _("memory"), _("owner")), foreign, {1, 2})
        if report.large_keys:
            cache = adapter(report.alias)
            large = [(name_of(cache, key.key).text, words.size(key.size), key.type) for key in report.large_keys[:10]]
            self.part((_("large keys"), _("memory"), _("type")), large, {1})

    def part(self, header: tuple[str, ...], rows: Sequence[tuple[str, ...]], figures: set[int]) -> None:
        self.stdout.write("")
        self.write_table([header, *rows], figures)


def _keys(figure: Estimate) -> str:
    return words.keys(figure.value, exact=figure.exact)


def _size(figure: Estimate) -> str:
    return words.size(figure.value, exact=figure.exact)


def _row(stats: PatternStats) -> tuple[str, ...]:
    return (
        stats.pattern,
        words.number(stats.keys.value, exact=stats.keys.exact),
        _size(stats.size),
        f"{stats.size_share.value:.1%}",
        f"{stats.no_expiry.value:.0%}",
    )

"""What is wrong with one alias: evidence, what to do, where; and what somebody does not want to hear again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin import keys
from cache_admin.health import checking, muting
from cache_admin.health.checking import Muted
from cache_admin.health.finding import Finding
from cache_admin.models import Cache, MutedFinding
from cache_admin.views.base import CacheView
from cache_admin.words import one_line

logger = logging.getLogger(__name__)

#: Words for the pages that findings name, and the permission that one needs.
LABELS = {
    "patterns": gettext_lazy("Open its patterns"),
    "leftovers": gettext_lazy("Open its leftovers"),
    "forecast": gettext_lazy("See minute by minute what expires"),
    "hit_rates": gettext_lazy("Open its hit rates"),
    "large_keys": gettext_lazy("Open its large keys"),
    "deploys": gettext_lazy("Compare deploys"),
    "invalidate": gettext_lazy("Invalidate it"),
    "warmers": gettext_lazy("Open the warmers"),
}
PATTERN = gettext_lazy("Open the pattern")
NEEDS = {"invalidate": "invalidate", "warmers": "run_warmers"}


@dataclass(frozen=True, slots=True)
class Link:
    """``url`` is "" where ``refusal`` says why it is not offered."""

    url: str
    label: object
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    finding: Finding
    link: Link | None


class HealthPage(CacheView):
    template_name = "cache_admin/health.html"
    tab = "health"
    title = gettext_lazy("Health")

    def show(self, error: str = "", code: str = "", *, status: int = 200) -> HttpResponse:
        """The page; ``error`` stands beside the form of the finding ``code``, or on top."""
        health = checking.check(self.cache)
        rows = [Row(finding, self.link(finding)) for finding in health.findings]
        here = any(row.finding.code == code for row in rows)
        context: dict[str, Any] = {
            "health": health,
            "rows": rows,
            "muted": sorted(health.muted, key=_now_first),
            "error": error,
            "error_code": code if here else "",
            "needs": "" if self.allowed("mute_findings") else _("Needs the permission cache_admin.mute_findings."),
        }
        return self.render(context, status=status, template=self.template_name)

    def link(self, finding: Finding) -> Link | None:
        """Where the finding can be mended, as far as this site has that page."""
        name, label = finding.link, LABELS.get(finding.link)
        if not name or label is None:
            return None
        if (codename := NEEDS.get(name)) and not self.allowed(codename):
            return Link("", label, _("Needs the permission cache_admin.%s.") % codename)
        token = keys.token(finding.template) if finding.template else ""
        alias = self.cache.alias
        try:
            if name == "patterns" and token:
                return Link(self.url("pattern", alias, token), PATTERN)
            if name == "hit_rates":
                url = self.url("hit_rate", alias, token) if token else self.url(name, alias)
                return Link(f"{url}?span=24h", label)
            if name == "deploys":
                return Link(f"{self.url(name)}?{urlencode({'alias': alias})}", label)
            if name == "warmers":
                return Link(self.url(name), label)
            url = self.url(name, alias)
        except NoReverseMatch:
            return None
        return Link(f"{url}?template={token}" if name == "invalidate" and token else url, label)


def _now_first(one: Muted) -> bool:
    return one.finding is None


class Health(HealthPage):
    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        return self.show()


class HealthMute(HealthPage):
    """Mutes what is found now. Muting it twice changes nothing: the first one's name and reason stay."""

    permission = "mute_findings"

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        code, reason = request.POST.get("code", ""), request.POST.get("reason", "").strip()
        if not reason:
            return self.show(_("Say why: others will wonder where it is. Nothing was muted."), code, status=400)
        health = checking.check(self.cache)
        everything = (*health.findings, *(one.finding for one in health.muted if one.finding))
        finding = next((one for one in everything if one.code == code), None)
        if finding is None:
            return self.show(_("This is not found any more. Nothing was muted."), status=404)
        username = request.user.get_username()
        row, created = muting.mute(alias, finding, reason=reason, username=username)
        if created:
            record(request, row, _("Muted: %(reason)s") % {"reason": one_line(reason)})
        return redirect(f"{self.url('health', alias)}#muted")


class HealthUnmute(CacheView):
    """Lets a finding be heard again. What is not muted stays so."""

    permission = "mute_findings"
    tab = "health"
    title = gettext_lazy("Health")

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        row = muting.unmute(alias, request.POST.get("code", ""))
        if row is not None:
            words = _("Unmuted; %(name)s had muted it: %(reason)s") % {"name": row.username, "reason": row.reason}
            record(request, row, words)
        return redirect(self.url("health", alias))


def record(request: HttpRequest, row: MutedFinding, words: str) -> None:
    """Into the history of the admin site, where its other changes are."""
    who: Any = request.user
    LogEntry.objects.create(
        user=who,
        content_type=ContentType.objects.get_for_model(Cache),
        object_id=row.alias,
        object_repr=f"{row.alias}: {row.text}"[:200],
        action_flag=CHANGE,
        change_message=words,
    )
    logger.info("%s: %s (%s), by %s", row.alias, row.code, words, request.user.get_username())

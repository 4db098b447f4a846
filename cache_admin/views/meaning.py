"""Invalidating by meaning in all caches at once: the form with its preview, the confirmation, the operations.

What one means seldom lives in one alias: pages stand in another than values. So the form is one for all caches, and
every change is an operation of its own alias.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin.adapters.base import Adapter
from cache_admin.adapters.sentences import about
from cache_admin.exceptions import CacheAdminError, InvalidPattern, OperationConflict, StalePlan
from cache_admin.models import Operation
from cache_admin.operations import confirmation, meaning, runner
from cache_admin.operations.base import Plan
from cache_admin.operations.purge import PREVIEW_MILLISECONDS
from cache_admin.views.invalidate import InvalidateView, Wish
from cache_admin.views.operation import link_to, progress
from cache_admin.views.overview import each_alias

#: For looking into each cache, however long those before it took.
_LEAST_MILLISECONDS = 300
#: For all caches together before somebody confirms: what one means is rare, so a sample tells little of it.
_CONFIRM_MILLISECONDS = 5_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the wish comes to in one alias: a plan, or why there is none."""

    alias: str
    adapter: Adapter | None = None
    plan: Plan | None = None
    problem: str = ""
    token: str = ""

    @property
    def offered(self) -> bool:
        return self.plan is not None and meaning.does_something(self.plan)


class MeaningView(InvalidateView):
    """Base of the pages; they have no alias."""

    template_name = "cache_admin/meaning.html"
    tab = "meaning"
    title = gettext_lazy("Invalidate by meaning")

    def wish(self) -> Wish:
        """What the form says. Other kinds of targets than meanings belong to one alias."""
        data = self.request.POST if self.request.method == "POST" else self.request.GET
        wish = Wish.of(data)
        return wish if wish.kind in meaning.KINDS else Wish.of(_of_kind(data, "page"))

    def context(self, wish: Wish, *, error: str = "", confirming: bool = False) -> dict[str, Any]:
        answers: list[Answer] = []
        try:
            answers = [] if wish.empty else self.answers(wish, confirming)
        except (InvalidPattern, PermissionDenied) as problem:
            error = error or str(problem)
        offered = [answer for answer in answers if answer.offered]
        plans = [answer.plan for answer in offered if answer.plan]
        of_others = (note for answer in answers if answer.plan and not answer.offered for note in answer.plan.notes)
        return {
            "wish": wish,
            "error": error,
            "answers": offered,
            "nothing_in": [answer.alias for answer in answers if answer.plan and not answer.offered],
            "notes": [note for note in dict.fromkeys(of_others) if not any(note in plan.notes for plan in plans)],
            "problems": [answer for answer in answers if answer.problem],
            "keys": sum(plan.keys for plan in plans),
            "exact": all(plan.exact for plan in plans),
        }

    def answers(self, wish: Wish, confirming: bool) -> list[Answer]:
        """One for each alias. Raises :class:`InvalidPattern` and ``PermissionDenied``, which hold for all of them."""
        began = time.monotonic()
        whole = _CONFIRM_MILLISECONDS if confirming else PREVIEW_MILLISECONDS
        found = []
        for alias, adapter, problem in each_alias():
            if adapter is None:
                found.append(Answer(alias, problem=problem))
                continue
            budget = max(_LEAST_MILLISECONDS, whole - (time.monotonic() - began) * 1000)
            try:
                plan = wish.plan(alias, self.user, self.request.get_host(), budget_ms=budget)
            except InvalidPattern:
                raise
            except CacheAdminError as error:
                found.append(Answer(alias, problem=about(error)))
                continue
            token = confirmation.token_for(plan, self.user) if confirming else ""
            found.append(Answer(alias, adapter, plan, token=token))
        return found


class Meaning(MeaningView):
    """The form, filled from the link that led here, and what it would do."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.render(self.context(self.wish()))


class MeaningPreview(MeaningView):
    """The right side, while one types."""

    def post(self, request: HttpRequest) -> HttpResponse:
        return self.render(self.context(self.wish()), template="cache_admin/_meaning_preview.html")


class MeaningConfirm(MeaningView):
    """With tokens: does what was confirmed, an operation for each alias. Without: repeats it, and asks."""

    def post(self, request: HttpRequest) -> HttpResponse:
        wish = self.wish()
        tokens = request.POST.getlist("token")
        if not tokens:
            return self.ask(wish)
        started: list[Operation] = []
        try:
            aliases, typed = request.POST.getlist("alias"), request.POST.getlist("typed")
            if len(aliases) != len(tokens):
                raise StalePlan(_("This confirmation is damaged. Nothing was changed; look at a new preview."))
            asked = zip(tokens, aliases, [*typed, *[""] * len(tokens)], strict=False)
            plans = [confirmation.redeem(token, self.user, alias, typed=word) for token, alias, word in asked]
            for plan in plans:
                operation = runner.start(plan, self.user, wish.reason)
                started.append(operation)
        except StalePlan as error:
            return self.ask(wish, error=str(error), status=403)
        except OperationConflict as error:
            text = str(error)
            if started:
                done = ", ".join(row.alias for row in started)
                text = _("Started in %(aliases)s, and no further. %(why)s") % {"aliases": done, "why": text}
            return self.ask(wish, error=text, running=link_to(self, error), status=409)
        except DatabaseError:
            text = _("The database does not take the record of this, so nothing was deleted.")
            return self.ask(wish, error=text if not started else _("The database failed; not all of it was started."))
        if len(started) == 1:
            return redirect(self.url("operation", started[0].pk))
        return redirect(f"{self.url('meaning_started')}?{urlencode([('id', row.pk) for row in started])}")

    def ask(self, wish: Wish, *, error: str = "", running: str = "", status: int = 200) -> HttpResponse:
        """The confirmation, or the form where there is nothing to confirm."""
        context = self.context(wish, error=error, confirming=True)
        if not context["answers"]:
            nothing = _("Nothing of it is in any cache that could be looked into.")
            context["error"] = context["error"] or (
                nothing if context["problems"] else _("Nothing of it is in any cache.")
            )
            return self.render(context, status=status)
        template = "cache_admin/meaning_confirm.html"
        return self.render({**self.page_context(), **context, "running": running}, template=template, status=status)


class MeaningStarted(InvalidateView):
    """The operations of one confirmation, side by side."""

    template_name = "cache_admin/meaning_started.html"
    tab = "meaning"
    title = gettext_lazy("Invalidate by meaning")

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            ids = [UUID(given) for given in request.GET.getlist("id")[:100]]
        except ValueError as error:
            raise Http404(str(error)) from error
        rows = Operation.objects.filter(pk__in=ids).order_by("created")
        if not self.allowed("view_audit"):
            rows = rows.filter(user_id=self.user.pk)
        return self.render({"rows": [progress(row) for row in rows]})


def _of_kind(data: Any, kind: str) -> Any:
    copy = data.copy()
    copy["kind"] = kind
    return copy

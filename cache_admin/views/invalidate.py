"""Invalidating: the form with its live preview, the confirmation, and the start of the operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cache_admin import keys, patterns
from cache_admin.exceptions import CacheAdminError, InvalidPattern, OperationConflict, StalePlan
from cache_admin.operations import confirmation, meaning, purge, runner
from cache_admin.operations.base import Plan
from cache_admin.operations.targets import Target
from cache_admin.views.base import CacheView
from cache_admin.views.operation import link_to

KINDS = ("template", "glob", "literal", "alias", *meaning.KINDS)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form says, cleaned just enough to be shown again."""

    kind: str
    text: str  #: the glob or key that was typed
    more: str  #: further ones, one per line
    templates: tuple[str, ...]  #: tokens of listed patterns
    spread: bool
    seconds: str
    protected: bool
    reason: str

    @classmethod
    def of(cls, data: QueryDict) -> Wish:
        templates = tuple(dict.fromkeys(token for token in data.getlist("template") if token))
        kind = data.get("kind", "")
        return cls(
            kind=kind if kind in KINDS else "template" if templates else "glob",
            text=data.get("target", ""),
            more=data.get("more", ""),
            templates=templates,
            spread=data.get("when") == "spread",
            seconds=data.get("seconds", "") or "600",
            protected=bool(data.get("protected")),
            reason=data.get("reason", "")[:500],
        )

    @property
    def empty(self) -> bool:
        """Nothing was asked yet."""
        return self.kind != "alias" and not (self.templates if self.kind == "template" else self.lines())

    def lines(self) -> list[str]:
        return [line for typed in (self.text, *self.more.split("\n")) if (line := typed.rstrip("\r"))]

    def query(self) -> str:
        """The query string that fills the form again; "" where it would be too long for an address."""
        data = QueryDict(mutable=True)
        data.update({"kind": self.kind, "target": self.text, "more": self.more, "reason": self.reason})
        data.setlist("template", list(self.templates))
        data.update({"when": "spread", "seconds": self.seconds} if self.spread else {})
        data.update({"protected": "1"} if self.protected else {})
        text = data.urlencode()
        return f"?{text}" if len(text) < 3_000 else ""

    def displays(self) -> list[tuple[str, str]]:
        """(token, pattern) of the listed patterns; broken tokens are left out."""
        shown = []
        for token in self.templates:
            try:
                shown.append((token, patterns.display(keys.from_token(token))))
            except ValueError:
                continue
        return shown

    def targets(self) -> list[Target]:
        """Raises :class:`InvalidPattern`."""
        if self.kind == "alias":
            return [Target.alias()]
        if self.kind == "template":
            try:
                return [Target.template(keys.from_token(token)) for token in self.templates]
            except ValueError:
                raise InvalidPattern(_("This link names no pattern. Choose one on the page Patterns.")) from None
        make = Target.glob if self.kind == "glob" else Target.literal
        return [make(line) for line in self.lines()]

    def plan(self, alias: str, user: User, host: str, **options: Any) -> Plan:
        """What it would do in one alias; ``host`` is the site's. Raises what planning raises."""
        options |= {"over": self.over(), "include_protected": self.protected}
        if self.kind in meaning.KINDS:
            text, *more = [line.strip() for line in self.lines()]
            return meaning.plan(alias, meaning.Meaning(self.kind, text, tuple(more), host), user, **options)
        return purge.plan(alias, self.targets(), user, **options)

    def over(self) -> int | None:
        """Seconds over which to expire, ``None`` for now. Raises :class:`InvalidPattern`."""
        if not self.spread:
            return None
        if not (self.seconds.isascii() and self.seconds.isdigit() and len(self.seconds) < 12):
            raise InvalidPattern(_("Type the seconds as a whole number."))
        return int(self.seconds)


class InvalidateView(CacheView):
    permission = "invalidate"
    template_name = "cache_admin/invalidate.html"
    tab = "invalidate"
    title = gettext_lazy("Invalidate")

    @property
    def user(self) -> User:
        """Who asks; ``dispatch`` let nobody in who is not signed in."""
        return cast(User, self.request.user)

    def plan(self, wish: Wish) -> tuple[Plan | None, str]:
        """The plan, or why there is none."""
        if wish.empty:
            return None, ""
        try:
            plan = wish.plan(self.cache.alias, self.user, self.request.get_host())
        except (CacheAdminError, PermissionDenied) as error:
            return None, str(error)
        return plan, ""

    def form(self, wish: Wish, *, error: str = "", status: int = 200) -> HttpResponse:
        plan, problem = self.plan(wish)
        return self.render({"wish": wish, "plan": plan, "error": error or problem}, status=status)


class Invalidate(InvalidateView):
    """The form, filled from the link that led here, and what it would do."""

    def get(self, request: HttpRequest, alias: str) -> HttpResponse:
        return self.form(Wish.of(request.GET))


class InvalidatePreview(InvalidateView):
    """The right side, while one types. A POST, for a pattern may be longer than an address."""

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        wish = Wish.of(request.POST)
        plan, error = self.plan(wish)
        context = {"wish": wish, "plan": plan, "error": error}
        return self.render(context, template="cache_admin/_invalidate_preview.html")


class InvalidateConfirm(InvalidateView):
    """With a token: does what was confirmed. Without: repeats what will happen, and asks."""

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        wish = Wish.of(request.POST)
        if "token" not in request.POST:
            return self.ask(wish)
        try:
            typed = request.POST.get("typed", "")
            plan = confirmation.redeem(request.POST["token"], self.user, alias, typed=typed)
            operation = runner.start(plan, self.user, wish.reason)
        except StalePlan as error:
            return self.ask(wish, error=str(error), status=403)
        except OperationConflict as error:
            return self.ask(wish, error=str(error), running=link_to(self, error), status=409)
        except DatabaseError:
            return self.ask(wish, error=_("The database does not take the record of this, so nothing was deleted."))
        return redirect(self.url("operation", operation.pk))

    def ask(self, wish: Wish, *, error: str = "", running: str = "", status: int = 200) -> HttpResponse:
        """The confirmation of ``wish``, or its form where there is nothing to confirm. ``running`` is the address of an
        operation that stands in its way."""
        plan, problem = self.plan(wish)
        if plan is None:
            nothing = _("Nothing is chosen. Type a key or a pattern such as product:*.")
            return self.form(wish, error=error or problem or nothing, status=status)
        context: dict[str, Any] = {"wish": wish, "plan": plan, "error": error, "running": running}
        context["token"] = confirmation.token_for(plan, self.user)
        return self.render(
            {**self.page_context(), **context}, template="cache_admin/invalidate_confirm.html", status=status
        )

"""One operation: what it does, how far it is, how it ended; cancel and resume."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_htmx.http import trigger_client_event

from cache_admin.exceptions import CacheAdminError, OperationConflict
from cache_admin.models import Operation
from cache_admin.operations import queueing, runner
from cache_admin.operations.base import Plan, kinds
from cache_admin.views.base import CacheView, is_fragment_request


def progress(row: Operation) -> dict[str, Any]:
    """Context of ``_operation.html``. ``rate`` is keys per second since the start, ``remaining`` seconds.

    Keys are those looked at; for warmers those written, of as many as they wrote the last time.
    """
    elapsed = ((row.finished or timezone.now()) - row.created).total_seconds()
    done, total = (row.done_keys, row.planned_keys) if row.kind == "warm" else (row.scanned, row.total)
    rate = done / elapsed if row.state == row.State.RUNNING and done and elapsed >= 1 else None
    return {
        "operation": row,
        "alias": row.alias,
        "running": row.state == row.State.RUNNING,
        "waiting": row.state == row.State.RUNNING and row.lease_owner == queueing.WAITING,
        "interrupted": row.state == row.State.INTERRUPTED,
        "elapsed": elapsed,
        "rate": rate,
        "share": min(1.0, done / total) if total else None,
        "remaining": math.ceil(max(0, total - done) / rate) if rate and total else None,
    }


def visible(view: CacheView, row: Operation) -> bool:
    """Whether the user may see an operation: an own one, any with ``view_audit``, and one that changes nothing where
    the user might have started it."""
    if row.user_id == view.request.user.pk or view.allowed("view_audit"):
        return True
    kind = kinds.get(row.kind) if row.kind in kinds.names() else None
    return kind is not None and not kind.changes and all(map(view.allowed, kind.permissions(row.params)))


def link_to(view: CacheView, conflict: OperationConflict) -> str:
    """The address of the operation that is running already, "" where the user may not see it."""
    row = Operation.objects.get(pk=conflict.operation_id)
    return view.url("operation", row.pk) if visible(view, row) else ""


def in_place(view: CacheView, row: Operation) -> HttpResponse:
    """The progress for htmx, which tells the page once it is over; else the way to the page of the operation."""
    if not is_fragment_request(view.request):
        return redirect(view.url("operation", row.pk))
    response = view.render(progress(row), template="cache_admin/_operation.html")
    if not row.is_active:
        trigger_client_event(response, "ca:operation-over")
    return response


class StartView(CacheView):
    """Base of the views that start an operation without a confirmation, or lead to the one that runs."""

    def start(self, plan: Plan) -> HttpResponse:
        try:
            row = runner.start(plan, self.request.user)
        except OperationConflict as error:
            row = Operation.objects.get(pk=error.operation_id)
            if not visible(self, row):
                return self.trouble(str(error), status=409)
        return in_place(self, row)


class OperationView(CacheView):
    """Base of the views on one operation that the user may see."""

    template_name = "cache_admin/operation.html"
    fragment_name = "cache_admin/_operation.html"
    tab = "operations"
    title = gettext_lazy("Operation")
    operation: Operation
    error = ""

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.operation = get_object_or_404(Operation, pk=kwargs["pk"])
        if not visible(self, self.operation):
            raise PermissionDenied(_("You do not have the permission cache_admin.view_audit."))

    def fragment_context(self) -> dict[str, Any]:
        return {**super().fragment_context(), **progress(self.operation), "error": self.error}

    def answer(self) -> HttpResponse:
        """As :func:`in_place`; an error stays beside the operation."""
        return self.render() if self.error else in_place(self, self.operation)


class OperationPage(OperationView):
    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.render()


class OperationProgress(OperationView):
    """Asked every second by the page. A POST, because it takes over an operation whose process has died."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self.operation = runner.poll(self.operation)
        return self.answer()


class OperationCancel(OperationView):
    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self.operation = runner.cancel(self.operation, request.user)
        return self.answer()


class OperationResume(OperationView):
    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        try:
            self.operation = runner.resume(self.operation, request.user)
        except CacheAdminError as error:
            self.error = str(error)
        return self.answer()

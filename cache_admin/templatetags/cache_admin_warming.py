"""What an operation has to do with warmers, for its page."""

from __future__ import annotations

from django import template

from cache_admin.caching.warmers import Warmer
from cache_admin.models import Operation
from cache_admin.operations import warm, warmed
from cache_admin.operations.warmed import Outcome

register = template.Library()


@register.filter
def outcomes(operation: Operation) -> list[Outcome]:
    """The warmers of an operation, as far as each came."""
    return warmed.outcomes(operation)


@register.filter
def dropped_warmers(operation: Operation) -> tuple[Warmer, ...]:
    """The warmers that fill again what an invalidation deleted."""
    return warm.dropped_by(operation)

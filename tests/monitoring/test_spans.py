"""Spans of time, as they come from a query string."""

from __future__ import annotations

import pytest

from cache_admin.monitoring.spans import SHORTEST, SPANS, span_of


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.slug)
def test_every_span_is_found_by_its_slug(span):
    assert span_of(span.slug) is span
    assert span.width * span.points == pytest.approx(span.seconds)


@pytest.mark.parametrize("slug", [None, "", "1000000", "-1", "15M", "10y", "1h'--"])
def test_anything_else_is_the_shortest(slug):
    assert span_of(slug) is SHORTEST
    assert SHORTEST.seconds == 900


def test_longer_spans_have_longer_points_and_gaps():
    for name in ("seconds", "width", "longest_gap"):
        values = [getattr(span, name) for span in SPANS]
        assert values == sorted(values)

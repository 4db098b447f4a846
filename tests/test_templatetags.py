"""Figures as people read them."""

from __future__ import annotations

import pytest
from django.utils import translation

from cache_admin.keyspace.report import TTL_BUCKETS, Estimate, PatternStats
from cache_admin.templatetags import cache_admin as filters


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.0001, "under 0.1 %"), (0.99999, "over 99.9 %"), (None, "—"),
        (Estimate(0.0, 0.0, 1.0), "—"), (Estimate.of(0.0), "0 %"), (Estimate(0.0, 0.0, 0.3), "0 %"),
    ],
)  # fmt: skip
def test_a_share_never_rounds_to_all_or_nothing(share: float | Estimate | None, text: str) -> None:
    assert filters.percent(share).replace("\xa0", " ") == text


def test_only_an_estimate_that_was_looked_at_is_marked() -> None:
    assert filters.mark(Estimate(0.2, 0.1, 0.3)) == "≈\u202f"
    assert filters.mark(Estimate.of(0.2)) == ""
    assert filters.mark(Estimate(0.0, 0.0, 1.0)) == ""


@pytest.mark.parametrize(
    ("figure", "text"),
    [(0, "0"), (812, "812"), (3_100, "3,100"), (41_233, "41.2 k"), (1_240_000, "1.2 M"), (None, "—")],
)
def test_counts_read_at_a_glance(figure: int | None, text: str) -> None:
    assert filters.count(figure).replace("\xa0", " ") == text


def test_an_estimate_tells_its_interval_in_full() -> None:
    assert filters.exactly(Estimate(41_233.0, 40_102.0, 42_364.0)) == "41,233 (95% interval: 40,102 to 42,364)"


@pytest.mark.parametrize(
    ("display", "parts"),
    [
        ("product:*", [("product:", False), ("*", True)]),
        ("*:x", [("*", True), (":", False), ("x", False)]),
        (r"a\*b", [(r"a\*b", False)]),
        ("a:b_c.d:*", [("a:", False), ("b_c.", False), ("d:", False), ("*", True)]),
        ("a::b", [("a::", False), ("b", False)]),
        ("x" * 120, [("x" * 63 + "…" + "x" * 32, False)]),
        ("plain", [("plain", False)]),
    ],
)
def test_only_the_variable_star_of_a_pattern_is_told_apart(display: str, parts: list[tuple[str, bool]]) -> None:
    assert filters.pattern_parts(display) == parts


@pytest.mark.parametrize(("text", "cut"), [("short", "short"), ("a" * 60 + "b" * 60, "a" * 47 + "…" + "b" * 24)])
def test_keys_are_cut_where_they_differ_least(text: str, cut: str) -> None:
    assert filters.cut(text) == cut


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4, "0.4 s"), (59, "59 s"), (725, "12 min 5 s"), (273_600, "3 d 4 h"), (86_400, "1 d"), (None, "—")],
)
def test_lengths_of_time_have_two_units_at_most(value: float | None, text: str) -> None:
    assert filters.seconds(value).replace("\xa0", " ") == text


def pattern_with(no_expiry: Estimate, *buckets: float) -> PatternStats:
    one = Estimate.of(1)
    return PatternStats(
        pattern="a:*", template=b"a:\x00", family="", title="", keys=one, size=one, keys_share=one, size_share=one,
        mean=1.0, largest=1, largest_key=b"a:1", no_expiry=no_expiry,
        ttl_buckets=(*buckets, *(0.0,) * (TTL_BUCKETS - len(buckets))), types=(), examples=(), protected=False,
    )  # fmt: skip


def test_the_expiry_chart_draws_and_tells_only_the_shares_there_are() -> None:
    chart = filters.ttl_chart(pattern_with(Estimate.of(0.25), 0.745, 0.0, 0.005))
    assert chart.text.replace("\xa0", " ") == "under 1 min: 74.5 %, 10 min to 1 h: 0.5 %, never: 25.0 %"
    assert chart.bars == "M0 17v-12h8v12zM18 17v-1h8v1z"
    assert chart.never == "M65 17v-4h8v4z"


def test_the_expiry_chart_of_keys_not_looked_at_is_empty_and_says_so() -> None:
    chart = filters.ttl_chart(pattern_with(Estimate(0.0, 0.0, 1.0)))
    assert (chart.text, chart.bars, chart.never) == ("not looked at in this sample", "", "")


def test_the_expiry_chart_speaks_the_language_of_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "_", lambda text: f"{translation.get_language()} {text}")
    for language in ("fr", "it"):
        with translation.override(language):
            assert filters.ttl_shares(pattern_with(Estimate.of(1.0)))[-1] == (f"{language} never", 1.0)
    filters._ttl_labels.cache_clear()

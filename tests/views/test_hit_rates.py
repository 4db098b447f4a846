"""The page Hit rates: what it says of counts that were really made, and of none."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client

from cache_admin import keys
from cache_admin.adapters import adapter
from cache_admin.health import checking, facts
from cache_admin.models import Deploy, Usage
from cache_admin.monitoring import flushing, instrument, rates, rollup
from cache_admin.monitoring.recorder import recorder
from cache_admin.monitoring.usage import OTHER, Counts, dump
from cache_admin.patterns import ID, WORD, display, fold
from cache_admin.templatetags.cache_admin import percent
from tests.views.conftest import SignIn, text, url

HTMX = {"HX-Request": "true"}
ON = {"RUNNER": "inline", "RECORDING": True}
PRODUCT = b"product:" + ID


@pytest.fixture(autouse=True)
def recording(raw: Any, settings: Any) -> Iterator[None]:
    settings.CACHE_ADMIN = ON
    for forget in (flushing.forget, facts.forget):
        forget()
    yield
    for forget in (flushing.forget, facts.forget):
        forget()


def stored(alias: str = "default", *, age: float = 60, level: int = 60, **counts: Counts) -> None:
    """Counts of a minute, by the first word of a pattern."""
    at = int(time.time() - age)
    named = {name.encode() + b":" + ID: one for name, one in counts.items()}
    Usage.objects.create(level=level, alias=alias, at=at - at % level, counts=dump(named))


def rows(response: Any) -> list[str]:
    return [row.pattern for row in response.context["rows"]]


@pytest.mark.django_db
@pytest.mark.parametrize("alias", ["default", "core", "json", "locmem"])
def test_hit_rates_of_patterns_are_those_of_an_independent_count(
    client: Client, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper around ``get`` and ``get_many`` counts by itself what was found."""
    caches[alias].clear()
    own: Counter[tuple[str, bool]] = Counter()
    rng, absent = random.Random(3), object()
    with instrument.listening(recorder.record):
        cache = caches[alias]

        def counted(key: str) -> None:
            own[display(fold(key.encode())), cache.get(key, absent) is not absent] += 1

        for _ in range(1_200):
            key = rng.choice([f"product:{rng.randrange(40)}", f"user:{rng.randrange(9)}:profile", "home"])
            if rng.random() < 0.3:
                cache.set(key, rng.choice([None, 0, "x"]), 60)
            elif rng.random() < 0.2:
                asked = [f"product:{rng.randrange(40)}" for _ in range(3)]
                found = cache.get_many(asked)
                own.update((display(fold(name.encode())), name in found) for name in set(asked))
            else:
                counted(key)
    assert flushing.flush()
    rollup.run(time.time() + 120)
    exported = json.loads(text(client.get(url("hit_rates_export", alias, "json"))))
    shown = {one["pattern"]: (one["hits"], one["misses"], one["hit_rate"]) for one in exported["patterns"]}
    expected = {
        pattern: (hits, misses, pytest.approx(hits / (hits + misses)))
        for pattern in {pattern for pattern, _found in own}
        for hits, misses in [(own[pattern, True], own[pattern, False])]
    }
    assert {pattern: shown[pattern] for pattern in expected} == expected
    page = text(client.get(url("hit_rates", alias)))
    for hits, misses, _rate in expected.values():
        assert percent(hits / (hits + misses)) in page


@pytest.mark.django_db
class TestPage:
    def test_the_alias_stands_above_its_patterns(self, client: Client) -> None:
        stored(product=Counts(90, 10, 10, errors=3, rebuilds=10, rebuild_micros=5_000_000), user=Counts(10, 10))
        page = client.get(url("hit_rates", "default"))
        assert rows(page) == ["product:*", "user:*"]
        shown = text(page)
        assert "83.3\u00a0%" in shown
        assert "hit rate, 1 hour" in shown
        assert "Asked by this site" in shown
        assert shown.count("ca-chart-rate") == 1
        assert "5.0\u00a0s" in shown or "5\u00a0s" in shown  # lost: ten misses of half a second
        assert "≈&#8239;" not in shown

    def test_misses_that_nobody_rebuilt_make_the_lost_time_an_estimate(self, client: Client) -> None:
        stored(product=Counts(90, 10, 10, rebuilds=5, rebuild_micros=2_500_000))
        assert re.findall(r"≈&#8239;([^<]+)<", text(client.get(url("hit_rates", "default")))) == ["5\u00a0s"] * 2
        opened = text(
            client.get(url("hit_rate", "default", keys.token(b"product:" + ID)), {"span": "1h"}, headers=HTMX)
        )
        assert "≈&#8239;5" in opened

    @pytest.mark.parametrize("alias", ["default", "core", "json", "locmem", "dummy"])
    def test_every_kind_of_cache_has_it(self, client: Client, alias: str) -> None:
        stored(alias, a=Counts(1, 1))
        page = text(client.get(url("hit_rates", alias)))
        assert "50.0\u00a0%" in page
        assert f'href="{url("hit_rates", alias)}" aria-current="page"' in page
        opened = text(client.get(url("hit_rate", alias, keys.token(b"a:" + ID)), headers=HTMX))
        assert ("List its keys" in opened) is (alias in {"default", "core", "json"})

    def test_a_span_is_chosen_by_a_link_that_keeps_the_rest(self, client: Client) -> None:
        stored(age=90, recent=Counts(5))
        stored(age=3 * 3600, level=600, older=Counts(5))
        assert rows(client.get(url("hit_rates", "default"))) == ["recent:*"]
        page = client.get(url("hit_rates", "default"), {"span": "6h", "q": "e", "sort": "pattern"})
        assert rows(page) == ["older:*", "recent:*"]
        assert "?span=7d&amp;q=e&amp;sort=pattern" in text(page)
        assert client.get(url("hit_rates", "default"), {"span": "nonsense"}).status_code == 200

    @pytest.mark.parametrize("sort", ["lookups", "rate", "trend", "misses", "rebuild", "lost", "sets", "duplicates",
                                      "early", "errors"])  # fmt: skip
    def test_it_sorts_by_each_figure_and_what_is_not_known_comes_last(self, client: Client, sort: str) -> None:
        much, few = (Counts(*numbers) for numbers in ((90, 90, 9, 0, 0, 9, 0, 0, 0, 9, 9_000_000, 9, 9, 9),
                                                       (1, 5, 1, 0, 0, 1, 0, 0, 0, 1, 1_000, 1, 1, 1)))  # fmt: skip
        stored(age=3_000, few=Counts(1, 9), much=Counts(3, 9))
        stored(much=much, few=few, none=Counts(deletes=1))
        maybe_unknown = {"rate", "trend", "rebuild", "lost"}
        falling = rows(client.get(url("hit_rates", "default"), {"sort": f"-{sort}"}))
        rising = rows(client.get(url("hit_rates", "default"), {"sort": sort}))
        assert falling == ["much:*", "few:*", "none:*"]
        assert rising == (["few:*", "much:*", "none:*"] if sort in maybe_unknown else [*reversed(falling)])
        assert client.get(url("hit_rates", "default"), {"sort": "-nonsense", "page": "abc"}).status_code == 200

    def test_a_trend_has_a_sign_a_word_and_its_evidence(self, client: Client) -> None:
        stored(age=3_000, up=Counts(10, 90), down=Counts(90, 10), same=Counts(50, 50))
        stored(age=120, up=Counts(30, 70), down=Counts(20, 80), same=Counts(50, 50), new=Counts(1, 1))
        page = text(client.get(url("hit_rates", "default")))
        for words in ("+20.0 points, better", "−70.0 points, worse", "±0.0 points, steady", "not known"):  # noqa: RUF001
            assert words in page
        assert "earlier half 90.0\u00a0% of 100 look-ups, later half 20.0\u00a0% of 100" in page

    def test_no_look_ups_are_no_rate(self, client: Client) -> None:
        stored(flag=Counts(sets=3), gone=Counts(misses=4))
        page = client.get(url("hit_rates", "default"), {"q": "flag"})
        assert "no look-ups" in text(page)
        assert "0\u00a0%" in text(client.get(url("hit_rates", "default"), {"q": "gone"}))

    def test_what_had_no_room_is_named_at_the_end(self, client: Client) -> None:
        stored(a=Counts(5))
        row = Usage.objects.get()
        Usage.objects.filter(pk=row.pk).update(counts={**row.counts, **dump({OTHER: Counts(70, 30)})})
        page = client.get(url("hit_rates", "default"))
        assert rows(page) == ["a:*"]
        assert "other patterns" in text(page)
        assert "70.0\u00a0%" in text(page)
        assert "other patterns" not in text(client.get(url("hit_rates", "default"), {"q": "a"}))

    def test_two_hundred_patterns_come_in_pages(self, client: Client) -> None:
        stored(**{f"family{chr(97 + i % 26)}{chr(97 + i // 26)}": Counts(i + 1) for i in range(200)})
        first = client.get(url("hit_rates", "default"))
        assert len(rows(first)) == 50
        assert "1 to 50 of 200" in text(first)
        assert len(rows(client.get(url("hit_rates", "default"), {"page": "4"}))) == 50
        assert text(first).count('hx-preserve="true" ') + text(first).count("data-ca-detail") >= 50

    def test_deploys_are_marked_and_named(self, client: Client) -> None:
        stored(a=Counts(5, 5))
        Deploy.objects.create(label="v2 <b>", at=time.time() - 600)
        page = text(client.get(url("hit_rates", "default")))
        assert "deploy v2 &lt;b&gt;" in page
        assert '"kind": "deploy"' in page
        assert "<b>" not in page.replace("<b>v", "")

    def test_a_share_of_the_operations_marks_estimates(self, client: Client, settings: Any) -> None:
        stored(a=Counts(50, 50))
        assert "≈\u202f" not in text(client.get(url("hit_rates", "default")))
        settings.CACHE_ADMIN = {**ON, "RECORDING_SHARE": 0.25}
        page = text(client.get(url("hit_rates", "default")))
        assert "≈\u202f50.0\u00a0%" in page
        assert "25.0\u00a0% of the operations are counted" in page


@pytest.mark.django_db
class TestRow:
    def test_it_opens_in_place_and_as_a_page(self, client: Client) -> None:
        stored(product=Counts(8, 32, 40, 1, 0, 2, 8_000, 40_960, 40, 32, 3_200_000, 3, 300_000, 7))
        path = url("hit_rate", "default", keys.token(PRODUCT))
        part = text(client.get(path, headers=HTMX))
        assert "<html" not in part
        assert "<html" in text(client.get(path))
        for words in ("20.0\u00a0%", "of 40 look-ups", "40 times", "1.0\u00a0KB each", "mean of 32",
                      "7 misses were of values gone before their time: evicted by the server or deleted elsewhere",
                      "3 values were computed while another caller was at the same one", "300\u00a0ms of work",
                      "2 operations failed", '"stacked": true'):  # fmt: skip
            assert words in part, words
        for name in ("pattern", "keys", "invalidate"):
            assert url(name, "default", *([keys.token(PRODUCT)] if name == "pattern" else [])) in part

    def test_what_is_written_for_nobody_is_called_so(self, client: Client) -> None:
        stored(log=Counts(0, 2, 10), product=Counts(9, 1, 1))
        stored(age=6 * 3_600, level=3_600, log=Counts(0, 0, 290))
        page = text(client.get(url("hit_rates", "default")))
        assert page.count("written, never read") == 1
        opened = text(client.get(url("hit_rate", "default", keys.token(b"log:" + ID))))
        assert "Written, and never read by this site&#x27;s processes: 300 sets and 0 hits in the last" in opened
        (found,) = [one for one in checking.glance(adapter("default")).findings if one.kind == "write-only"]
        assert found.text == "log:* is written, and never read by this site's processes"
        rows = client.get(url("hit_rates_export", "default", "json")).json()["patterns"]
        assert {row["pattern"]: row["doubt"] for row in rows} == {"log:*": "write_only", "product:*": ""}

    def test_a_pattern_that_is_folded_otherwise_says_as_what_it_is_counted(self, client: Client) -> None:
        at = int(time.time()) - 60
        counts = dump({b"user:" + WORD + b":cart": Counts(3, 1)})
        Usage.objects.create(level=60, alias="default", at=at - at % 60, counts=counts)
        part = text(client.get(url("hit_rate", "default", keys.token(b"user:anna:cart")), headers=HTMX))
        assert "Counted together as" in part
        assert "75.0\u00a0%" in part

    def test_what_was_not_asked_and_what_is_no_pattern(self, client: Client) -> None:
        assert "Nothing of this pattern" in text(client.get(url("hit_rate", "default", keys.token(b"x"))))
        assert client.get(url("hit_rate", "default", "%%%")).status_code == 404

    def test_without_permission_to_invalidate_there_is_no_link_to_it(self, sign_in: SignIn) -> None:
        stored(product=Counts(1))
        part = text(sign_in("view_cache").get(url("hit_rate", "default", keys.token(PRODUCT)), headers=HTMX))
        assert "Invalidate" not in part


@pytest.mark.django_db
class TestNothingKnown:
    def test_nothing_asked_yet(self, client: Client) -> None:
        assert "Nothing was asked of this cache within 1 hour" in text(client.get(url("hit_rates", "default")))

    @pytest.mark.parametrize(
        ("given", "words"),
        [({"RECORDING": False}, "RECORDING = False"), ({"RECORDED_ALIASES": ["core"]}, "add it to RECORDED_ALIASES")],
    )
    def test_what_is_not_counted_says_why(self, client: Client, settings: Any, given: Any, words: str) -> None:
        settings.CACHE_ADMIN = {**ON, **given}
        page = text(client.get(url("hit_rates", "default")))
        assert words in page
        assert "Nothing was asked" not in page
        stored(a=Counts(1, 1))
        page = text(client.get(url("hit_rates", "default")))
        assert words in page
        assert "What was counted before is shown." in page

    def test_missing_tables(self, client: Client) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {Usage._meta.db_table} RENAME TO gone")
        for path in (url("hit_rates", "default"), url("hit_rates_export", "default", "csv")):
            response = client.get(path)
            assert response.status_code == 200
            assert "tables are missing: run manage.py migrate" in text(response)

    def test_a_locked_database(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def locked(*args: object) -> None:
            raise OperationalError("database is locked")

        monkeypatch.setattr(rates, "_points", locked)
        page = text(client.get(url("hit_rates", "default")))
        assert "the database does not answer, or is locked" in page


@pytest.mark.django_db
class TestExport:
    def test_the_table_in_full_as_it_is_seen(self, client: Client) -> None:
        stored(product=Counts(90, 10, 12, rebuilds=10, rebuild_micros=5_000_000, size=2_400, sized=12), user=Counts(1))
        response = client.get(url("hit_rates_export", "default", "csv"), {"q": "prod"})
        (row,) = csv.DictReader(io.StringIO(text(response)))
        assert 'filename="hit-rates-default-1h.csv"' in response["Content-Disposition"]
        assert (row["pattern"], row["lookups"], float(row["hit_rate"])) == ("product:*", "100", 0.9)
        assert (float(row["mean_bytes"]), float(row["lost_seconds"]), row["trend"]) == (200, 5, "")
        found = json.loads(text(client.get(url("hit_rates_export", "default", "json"), {"sort": "pattern"})))
        assert [one["pattern"] for one in found["patterns"]] == ["product:*", "user:*"]
        assert found["estimated"] is False
        assert client.get(url("hit_rates_export", "default", "csv").replace("csv", "xls")).status_code == 404

    def test_no_name_runs_as_a_formula(self, client: Client) -> None:
        stored(**{"=cmd": Counts(1)})
        assert "\n'=cmd:*," in text(client.get(url("hit_rates_export", "default", "csv"))).replace("\r", "")


@pytest.mark.django_db
class TestElsewhere:
    def test_the_patterns_of_a_census_show_their_hit_rate(self, client: Client, raw: Any) -> None:
        raw.mset({f"shop:1:product:{i}": "x" for i in range(5)})
        assert "no look-ups" not in text(client.get(url("patterns", "default")))
        stored(product=Counts(3, 1), user=Counts(1))
        page = text(client.get(url("patterns", "default")))
        assert f'href="{url("hit_rate", "default", keys.token(PRODUCT))}"' in page
        assert "75.0\u00a0%" in page
        part = text(client.get(url("pattern", "default", keys.token(PRODUCT)), headers=HTMX))
        assert "Hit rate, last hour" in part

    def test_the_rate_of_the_site_stands_beside_that_of_the_server(self, client: Client) -> None:
        stored(product=Counts(3, 1))
        stored("locmem", product=Counts(1, 3))
        assert "this site 75.0\u00a0%" in text(client.get(url("card", "default", "summary")))
        assert "this site 25.0\u00a0%" in text(client.get(url("card", "locmem", "summary")))
        card = text(client.get(url("card", "default", "hit_rate")))
        assert "this site 75.0\u00a0%" in card
        assert "whole server" in card
        assert "this site: no look-ups" in text(client.get(url("card", "core", "hit_rate")))

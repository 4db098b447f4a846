"""What a scrape gave, and a site that has something to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.http import HttpResponse
from django.test import RequestFactory
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from cache_admin.adapters import adapter, redis_info, servers
from cache_admin.keyspace import reports
from cache_admin.keyspace.census import Census
from cache_admin.metrics.views import metrics
from cache_admin.models import Deploy
from cache_admin.monitoring import flushing, instrument, leases, rollup, sampler
from cache_admin.monitoring.recorder import recorder

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class Scrape:
    """The samples of one response: ``scrape("hits_total", alias="default", pattern="a:*")``."""

    def __init__(self, response: HttpResponse) -> None:
        parse = openmetrics if "openmetrics" in response.headers["Content-Type"] else plain
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.kinds: dict[str, str] = {}
        for family in parse(response.content.decode()):
            for sample in family.samples:
                place = sample.name, frozenset(sample.labels.items())
                assert place not in self.samples, f"{place} twice, which Prometheus refuses"
                self.samples[place] = sample.value
                self.kinds[sample.name] = family.type

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"cache_admin_{name}", frozenset(labels.items())))

    def of(self, name: str) -> dict[str, float]:
        """The samples of a metric by all their labels, for those that have one."""
        full = f"cache_admin_{name}"
        return {
            " ".join(v for _k, v in sorted(labels)): value for (n, labels), value in self.samples.items() if n == full
        }

    @property
    def names(self) -> set[str]:
        return {name for name, _labels in self.samples}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    def forget() -> None:
        flushing.forget()
        sampler.forget()
        servers.forget()
        reports.forget()

    forget()
    yield
    forget()


@pytest.fixture
def scrape() -> Callable[..., Scrape]:
    """Asks the view as a scraper does that is allowed to."""

    def ask(accept: str = OPENMETRICS) -> Scrape:
        return Scrape(metrics(RequestFactory().get("/metrics", headers={"Accept": accept}), lambda request: True))

    return ask


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Writes down what was counted, and sums up as if so many seconds had gone by."""

    def pass_by(seconds: float) -> None:
        flushing.flush()
        rollup.run(time.time() + seconds)
        leases.release("usage")

    return pass_by


@pytest.fixture
def shop(raw: redis.Redis, db: None, later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache with traffic, a stored census, and a deploy."""
    monkeypatch.setattr(redis_info, "INFO_SECONDS", 0)
    with instrument.listening(recorder.record):
        for pk in range(20):
            caches["default"].get_or_set(f"product:{pk}", "x" * 100, 60)
            caches["default"].get(f"product:{pk}")
        caches["core"].get("menu")
    later(300)
    census = Census(adapter("default"))
    for page in adapter("default").walk(census.choose):
        census.feed(page)
    reports.save(census.report())
    Deploy.objects.create(label="v1", at=1_000.0)
    Deploy.objects.create(label="v2", at=2_000.0)
    Deploy.objects.create(label="v1", at=3_000.0)

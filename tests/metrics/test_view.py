"""Who may scrape, in which format, and the ways that the documentation gives."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory
from django.urls import path

import cache_admin.metrics
from cache_admin.metrics import families
from cache_admin.metrics.views import metrics

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("raw")]
PAGE = Path(__file__).parents[2] / "docs" / "prometheus.md"


def urlconf(*patterns: Any, name: str = "urls_of_a_test") -> ModuleType:
    module = ModuleType(name)
    module.urlpatterns = list(patterns)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def mounted(settings: Any) -> Any:
    settings.ROOT_URLCONF = urlconf(path("metrics", metrics))
    return settings


def test_it_is_mounted_nowhere_by_itself(client: Client) -> None:
    assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize(("codenames", "status"), [([], 403), (["view_values"], 403), (["view_cache"], 200)])
def test_without_allowed_it_is_for_those_who_may_see_the_pages(
    mounted: Any, client: Client, codenames: list[str], status: int
) -> None:
    user = User.objects.create_user("mia", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    assert client.get("/metrics").status_code == status


def test_nobody_and_no_user_at_all_are_refused(mounted: Any, client: Client) -> None:
    assert client.get("/metrics").status_code == 403
    mounted.MIDDLEWARE = []
    response = Client().get("/metrics")
    assert response.status_code == 403
    assert b"cache_admin_" not in response.content


def test_no_login_page_stands_in_the_way_of_a_scraper(mounted: Any, client: Client) -> None:
    mounted.MIDDLEWARE = [*mounted.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert client.get("/metrics").status_code == 403
    mounted.ROOT_URLCONF = urlconf(path("metrics", metrics, {"allowed": lambda request: True}))
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_only_answers_safe_methods(mounted: Any, client: Client, method: str) -> None:
    assert getattr(client, method)("/metrics").status_code == 405


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0;q=0.5", "text/plain; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5", "application/openmetrics-text"),
    ],
)
def test_the_format_is_the_one_that_the_scraper_asks_for(accept: str, kind: str) -> None:
    request = RequestFactory().get("/metrics", headers={"Accept": accept} if accept else {})
    response = metrics(request, lambda request: True)
    assert response.headers["Content-Type"].startswith(kind)
    assert "no-store" in response.headers["Cache-Control"]
    assert response.content.endswith(b"# EOF\n") is ("openmetrics" in kind)


def test_the_token_of_the_documentation(settings: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "let-me-in")
    (block,) = re.findall(r"^   ```python\n(.*?)^   ```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    module = ModuleType("documented_urls")
    exec(re.sub(r"^   ", "", block, flags=re.MULTILINE), module.__dict__)
    settings.ROOT_URLCONF = module
    answers = {
        given: client.get("/metrics", headers={"Authorization": given} if given else {}).status_code
        for given in ("Bearer let-me-in", "Bearer let-me", "let-me-in", "Bearer \u00fc", "Bearer", "")
    }
    assert answers == dict.fromkeys(answers, 403) | {"Bearer let-me-in": 200}


def test_the_other_ways_of_the_documentation(client: Client) -> None:
    ways = [eval(way) for way in re.findall(r'`{"allowed": (lambda .*?)}`', PAGE.read_text())]
    assert len(ways) == 2
    request = RequestFactory().get("/metrics")
    request.user = AnonymousUser()
    assert sorted(way(request) for way in ways) == [False, True]
    request.user = User(is_staff=True)
    assert all(way(request) for way in ways)


def test_every_metric_is_documented_and_nothing_else() -> None:
    exported = {f"cache_admin_{family.name}{'_total' if family.counter else ''}" for family in families.ALL}
    named = set(re.findall(r"\bcache_admin_\w+", PAGE.read_text()))
    assert named == exported


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'django-cache-admin\[prometheus\]'"):
        importlib.reload(cache_admin.metrics)

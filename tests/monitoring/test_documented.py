"""The examples of the documentation run, and do what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import redis
from django.core.cache import cache
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from cache_admin.keyspace import reports
from cache_admin.monitoring import instrument, middleware

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.django_db
@override_settings(CACHE_ADMIN={"HEADERS_FOR": "everyone"})
@pytest.mark.parametrize("page", ["middleware.md", "stats.md"])
def test_the_examples_of_a_page(raw: redis.Redis, page: str) -> None:
    reports.forget()
    blocks = re.findall(r"^```pycon\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    names = {"cache": cache, "HttpResponse": HttpResponse, "RequestFactory": RequestFactory}
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), names, page, page, 0)
    heard: list[str] = []
    try:
        result = doctest.DocTestRunner().run(examples, out=heard.append)
    finally:
        instrument.unlisten(middleware.count)
        reports.forget()
    assert result.attempted >= 4
    assert result.failed == 0, "".join(heard)

"""The examples of the documentation run, and do what they say."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory, override_settings

from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.purging import purgers
from cache_admin.caching.warmers import warmers
from tests.shop_models.models import Book, Product, Review, Shelf

DOCS = Path(__file__).parent.parent.parent / "docs"
NAMES = {
    "User": User,
    "RequestFactory": RequestFactory,
    "Product": Product,
    "Review": Review,
    "Book": Book,
    "Shelf": Shelf,
}


@pytest.fixture
def clean(cache) -> Iterator[None]:
    """Forgets what examples register."""
    rules, entries = cache_invalidator.rules(), [(registry, dict(registry._entries)) for registry in (purgers, warmers)]
    yield
    for rule in set(cache_invalidator.rules()).difference(rules):
        if not rule.name.startswith("cached querysets"):
            cache_invalidator.unregister(rule)
    for registry, before in entries:
        registry._entries.clear()
        registry._entries.update(before)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("page", ["pages", "fragments", "querysets", "rules", "warmers", "levels"])
def test_the_examples_of_a_page(page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / f"caching_{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), dict(NAMES), page, page, 0)
    assert examples.examples
    heard: list[str] = []
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        result = doctest.DocTestRunner().run(examples, out=heard.append)
    assert result.failed == 0, "".join(heard)

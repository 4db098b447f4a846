"""The examples of the documentation run, and do what they say."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import RequestFactory, override_settings

import cache_admin.caching
import cache_admin.caching.keys
from cache_admin.caching.invalidation import cache_invalidator
from cache_admin.caching.purging import purgers
from cache_admin.caching.warmers import warmers
from tests.shop_models.models import Book, Product, Review, Shelf

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = sorted(DOCS.glob("caching_*.md"))
NAMES = {
    "User": User,
    "Group": Group,
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
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), dict(NAMES), page.stem, str(page), 0)
    assert examples.examples
    heard: list[str] = []
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        result = doctest.DocTestRunner().run(examples, out=heard.append)
    assert result.failed == 0, "".join(heard)


@pytest.mark.parametrize("module", [cache_admin.caching, cache_admin.caching.keys])
def test_the_examples_of_docstrings(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


def test_every_public_name_is_documented() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("caching*.md"))
    assert [name for name in cache_admin.caching.__all__ if name not in pages] == []

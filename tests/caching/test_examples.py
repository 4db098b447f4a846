"""The examples of the documentation run, and do what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

import cache_admin.caching
import cache_admin.caching.keys

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("page", ["caching.md"])
def test_the_examples_of_the_page(raw: Any, page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {"User": User, "Group": Group}, page, page, 0)
    assert len(examples.examples) > 20
    heard: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=heard.append)
    assert result.failed == 0, "".join(heard)


@pytest.mark.parametrize("module", [cache_admin.caching, cache_admin.caching.keys])
def test_the_examples_of_docstrings(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


def test_every_public_name_is_documented() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [name for name in cache_admin.caching.__all__ if f"{name}" not in pages] == []

"""The documentation names what the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands

from cache_admin.conf import Settings
from cache_admin.health import checking
from cache_admin.health.finding import finders
from cache_admin.models import Cache

DOCS = Path(__file__).parent.parent / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_documented_with_its_default(field) -> None:
    row = re.search(rf"^\| `{field.name}` \| (.+?) \|", text("settings.md"), re.MULTILINE)
    assert row, f"{field.name} is missing from docs/settings.md"
    if field.name != "MASKED_FIELDS":
        documented = row[1].strip("`").replace('"', "'")
        assert documented == repr(field.default)


def test_no_unknown_setting_is_documented() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text("settings.md"), re.MULTILINE))
    assert documented == {field.name for field in fields(Settings)}


@pytest.mark.parametrize("codename", [codename for codename, _ in Cache._meta.permissions])
def test_every_permission_is_documented(codename: str) -> None:
    assert f"`cache_admin.{codename}`" in text("permissions.md")


def test_every_command_is_documented() -> None:
    ours = [name for name, app in get_commands().items() if app == "cache_admin"]
    assert ours
    for name in ours:
        assert f"## `manage.py {name}`" in text("commands.md")


def test_every_system_check_is_documented() -> None:
    source = (DOCS.parent / "cache_admin" / "checks.py").read_text()
    for check in set(re.findall(r"cache_admin\.[EW]\d{3}", source)):
        assert f"`{check}`" in text("install.md")


def test_pages_of_the_documentation_are_in_the_contents() -> None:
    contents = [text(name).split("{toctree}")[1] for name in ("index.md", "caching.md")]
    listed = set(re.findall(r"^(\w+)$", "\n".join(contents), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == listed


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w-]+\.md)(?:#[\w-]+)?\)", page.read_text()):
            assert (DOCS / target).exists(), f"{page.name} links to {target}"


def test_every_finding_is_documented_and_no_other() -> None:
    assert checking.MODULES
    documented = re.findall(r"^\| `([a-z-]+)` \|", text("health.md"), re.MULTILINE)
    assert sorted(documented) == sorted(finders.names())

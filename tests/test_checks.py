"""System checks: every message by its id."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import pytest
from django.core import checks as django_checks
from django.test import override_settings

from cache_admin import checks, conf
from cache_admin.conf import Settings

APPS = {"django_htmx", "django.contrib.admin", "cache_admin"}


def ids(messages: list[django_checks.CheckMessage]) -> list[str]:
    return [str(message.id) for message in messages]


def test_this_project_passes() -> None:
    assert checks.check_all(None) == []


def test_the_checks_are_registered_with_django() -> None:
    with override_settings(CACHE_ADMIN={"REFRESH_SECOND": 5}):
        messages = django_checks.run_checks(tags=["cache_admin"])
    assert ids(messages) == ["cache_admin.E001"]


def test_every_default_is_valid() -> None:
    defaults = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    assert checks.check_settings(defaults) == []


def test_every_range_and_choice_is_of_a_setting() -> None:
    assert {*conf.RANGES, *conf.CHOICES} <= {field.name for field in fields(Settings)}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("REFRESH_SECOND", "REFRESH_SECONDS"), ("refresh_seconds", "REFRESH_SECONDS"), ("ALIAS", "ALIASES")],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name: str, nearest: str) -> None:
    (message,) = checks.check_settings({name: 1})
    assert message.id == "cache_admin.E001"
    assert message.hint == f"Did you mean {nearest!r}?"


def test_a_name_like_no_other_gets_the_list_of_all() -> None:
    (message,) = checks.check_settings({"qqq": 1})
    assert message.id == "cache_admin.E001"
    assert "MAX_PATTERNS" in str(message.hint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REFRESH_SECONDS", "5"),
        ("REFRESH_SECONDS", True),
        ("REFRESH_SECONDS", 2.5),
        ("REFRESH_SECONDS", -1),
        ("SERVER_TIMEOUT", 0),
        ("SERVER_TIMEOUT", None),
        ("SERVER_TIMEOUT", math.nan),
        ("GENTLE_SHARE", 25),
        ("AUDIT_DAYS", -1),
        ("RUNNER", "celery"),
        ("RUNNER", ["thread"]),
        ("ALIASES", "default"),
        ("MASKED_FIELDS", ["password", 3]),
        ("PROTECTED_FAMILIES", None),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_an_error(name: str, value: object) -> None:
    (message,) = checks.check_settings({name: value})
    assert message.id == "cache_admin.E002"
    assert name in message.msg
    assert repr(value) in message.msg


@pytest.mark.parametrize(
    ("name", "value"),
    [("SERVER_TIMEOUT", 1), ("ALIASES", None), ("ALIASES", ["a"]), ("MASKED_KEYS", ()), ("AUDIT_DAYS", 10**6)],
)
def test_whole_numbers_pass_as_numbers_and_lists_as_tuples(name: str, value: object) -> None:
    assert checks.check_settings({name: value}) == []


@pytest.mark.parametrize("given", [5, "abc", {"ALIASES": 5}, {"SERVER_TIMEOUT": "x"}, {"LARGE_KEYS": -1}, {"NO": 1}])
def test_what_is_no_good_leaves_the_defaults_where_no_checks_run(given: object) -> None:
    with override_settings(CACHE_ADMIN=given):
        assert conf.current() == Settings()


def test_settings_that_are_no_dict_are_an_error() -> None:
    assert ids(checks.check_settings(["ALIASES"])) == ["cache_admin.E002"]
    assert checks.check_aliases(["ALIASES"], ["default"]) == []


def test_an_alias_that_caches_lack_is_an_error() -> None:
    (message,) = checks.check_aliases({"ALIASES": ["default", "pages"]}, ["default", "sessions"])
    assert message.id == "cache_admin.E003"
    assert "'pages'" in message.msg
    assert message.hint == "The aliases are: default, sessions."


def test_an_alias_that_is_to_be_recorded_must_be_in_caches_too() -> None:
    assert ids(checks.check_aliases({"RECORDED_ALIASES": ["pages"]}, ["default"])) == ["cache_admin.E003"]
    assert checks.check_aliases({"RECORDED_ALIASES": None}, ["default"]) == []


def test_a_family_that_is_none_is_an_error_for_it_would_protect_nothing() -> None:
    (message,) = checks.check_families({"PROTECTED_FAMILIES": ["session", "sessions"]})
    assert message.id == "cache_admin.E006"
    assert "'sessions'" in message.msg
    assert "session, " in str(message.hint)


@pytest.mark.parametrize("name", conf.GLOB_LISTS)
def test_a_glob_that_is_no_good_is_an_error(name: str) -> None:
    found = checks.check_globs({name: ["billing:*", "", "billing:\\", "a" * 300]})
    assert ids(found) == ["cache_admin.E007"] * 3
    assert all(name in message.msg for message in found)
    assert "lone backslash" in found[1].msg


def test_what_has_the_wrong_type_is_told_once() -> None:
    given = {"PROTECTED_FAMILIES": "sessions", "PROTECTED_PATTERNS": [3], "RECORDED_ALIASES": "pages"}
    with override_settings(CACHE_ADMIN=given):
        assert ids(checks.check_all(None)) == ["cache_admin.E002"] * 3


@pytest.mark.parametrize("runner", ["thread", "inline", "os.getcwd", None, "celery"])
def test_a_runner_that_needs_no_queue_or_names_a_function_passes(runner: object) -> None:
    assert checks.check_runner({"RUNNER": runner}, {}) == []


@pytest.mark.parametrize("runner", ["shop.nowhere.enqueue", "os.nothing", "os.sep"])
def test_a_runner_that_names_no_function_is_an_error(runner: str) -> None:
    assert checks.check_settings({"RUNNER": runner}) == []
    (message,) = checks.check_runner({"RUNNER": runner}, {})
    assert message.id == "cache_admin.E004"
    assert repr(runner) in message.msg


def test_tasks_without_a_framework_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_has_tasks", lambda: False)
    assert ids(checks.check_runner({"RUNNER": "tasks"}, {})) == ["cache_admin.E004"]


def test_tasks_without_workers_are_warned_of() -> None:
    def warned(**tasks: dict[str, str]) -> list[str]:
        return ids(checks.check_runner({"RUNNER": "tasks"}, tasks))

    assert warned() == ["cache_admin.W004"]
    assert warned(default={"BACKEND": "django_tasks.backends.dummy.DummyBackend"}) == ["cache_admin.W004"]
    assert warned(default={"BACKEND": "django_tasks_db.DatabaseBackend"}) == []


def test_missing_htmx_and_admin_are_told() -> None:
    messages = checks.check_install({"cache_admin"}, checks.PACKAGE)
    assert ids(messages) == ["cache_admin.E005", "cache_admin.W003"]


def test_a_checkout_without_symbolic_links_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "templates").write_text("../templates")
    assert ids(checks.check_install(APPS, tmp_path)) == ["cache_admin.W002"]


def test_every_message_is_documented() -> None:
    documented = (Path(__file__).parent.parent / "docs" / "install.md").read_text()
    source = Path(checks.__file__).read_text()
    for code in ("E001", "E002", "E003", "E004", "E005", "W002", "W003", "W004"):
        assert f'"cache_admin.{code}"' in source
        assert f"`cache_admin.{code}`" in documented

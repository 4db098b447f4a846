from __future__ import annotations

import subprocess
import sys

import pytest
from django.test import override_settings

from cache_admin.adapters import aliases
from cache_admin.exceptions import Unavailable

from .conftest import MakeAlias, failure
from .contract import AdapterContract


class TestLocMem(AdapterContract):
    alias = "locmem"


class TestDummy(AdapterContract):
    alias = "dummy"
    holds = False


def test_a_cache_that_is_no_base_cache_is_served(make_alias: MakeAlias) -> None:
    it = make_alias("", "tests.adapters.backends.NoBaseCache")
    assert not it.exists("a")
    assert not it.delete_user_key("a")
    assert it.codec.raw("a") == b"a"


def test_a_failing_cache_keeps_its_secrets(make_alias: MakeAlias, caplog: pytest.LogCaptureFixture) -> None:
    it = make_alias("", "tests.adapters.backends.Broken")
    failure(lambda: it.exists("a"), Unavailable)
    assert "sw0rdfish" not in caplog.text


def test_the_setting_limits_and_orders_the_aliases() -> None:
    with override_settings(CACHE_ADMIN={"ALIASES": ["locmem", "nobody", 7, "default"]}):
        assert aliases() == ("locmem", "default")
    assert aliases() == ("default", "core", "json", "locmem", "dummy")


def test_no_client_library_is_imported_for_a_cache_without_one() -> None:
    script = """
import sys, django
from django.conf import settings
backend = "django.core.cache.backends.locmem.LocMemCache"
settings.configure(CACHES={"default": {"BACKEND": backend}}, SECRET_KEY="x")
django.setup()
from cache_admin.adapters import adapter
assert not adapter("default").exists("a")
assert "redis" not in sys.modules and "django_redis" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)

"""Runs Django's own tests of its cache framework while every cache is recorded.

``nox -s django_cache`` fetches them; by hand: ``python tests/monitoring/django_cache_suite.py django-5.2.1/tests``.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import django

ROOT = Path(__file__).parents[2]
SETTINGS = """
from test_sqlite import *
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": %r},
}
"""


def record_after_setup() -> None:
    """Records from the end of ``django.setup`` on, as an installed ``cache_admin`` does."""

    def recorded(*args: object, **kwargs: object) -> None:
        original(*args, **kwargs)
        from cache_admin.monitoring import instrument
        from cache_admin.monitoring.recorder import recorder

        instrument.listen(recorder.record)

    original = django.setup
    django.setup = recorded


def main(tests: Path) -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "example_project")]
    from embedded import running

    os.chdir(tests)
    sys.path.insert(0, str(tests))
    with running() as server:
        (tests / "recorded_settings.py").write_text(SETTINGS % server.url)
        record_after_setup()
        sys.argv = ["runtests.py", "--settings=recorded_settings", "--parallel=1", "cache"]
        runpy.run_path("runtests.py", run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

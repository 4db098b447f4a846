"""Side-by-side figures; run with ``python -m benchmarks.<name>`` from the top of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "example_project"))


def site_for(urls: dict[str, str]) -> None:
    """Configures the test project's admin with django-redis aliases, prefix "shop", on the benchmark's own servers."""
    import os

    import django

    from tests import settings

    settings.CACHES = {
        alias: {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "KEY_PREFIX": "shop"}
        for alias, url in urls.items()
    }
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()

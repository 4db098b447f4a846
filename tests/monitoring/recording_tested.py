"""A project whose tests ask its cache and its database; run as a program by ``test_recording_site.py``.

Arguments: database, server URL, and what runs the tests: ``pytest`` or ``django``.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.cache import caches
from django.test import TestCase

from tests.monitoring.recording_site import configure


class Shop(TestCase):
    def test_products(self) -> None:
        for _ in range(300):
            caches["default"].get("product:1")
        self.client.get("/1/")


def main(database: str, url: str, runner: str) -> None:
    configure(database, url)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    if runner == "django":
        settings.SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E408", "admin.E409", "admin.E410"]
        call_command("test", "tests.monitoring.recording_tested")
        return
    import pytest

    sys.exit(pytest.main(["-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", __file__]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The next release of the shop goes out."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from shop import releases


class Command(BaseCommand):
    help = (
        "Put the next release out: what runs under `make demo` starts anew with it. Every second release has mistakes: "
        "lists without expiry under a new key, rate limits that lost theirs, fragments that vary on the moment, "
        "counters that nobody uses, and a new version of the cache long_term. The page Deploys finds them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        place = releases.place(settings.DATABASES["default"]["NAME"])
        release = releases.current(settings.DATABASES["default"]["NAME"]) + 1
        place.write_text(f"{release}\n")
        self.stdout.write(f"Release {releases.label(release)} is out. Its first process marks the deploy.")

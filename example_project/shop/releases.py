"""What changes from one release of the shop to the next: every second one brings mistakes that a page should find.

The number of the running release stands in a file beside the database, read when a process starts; a deploy writes the
next number there and starts the processes anew.
"""

from __future__ import annotations

import os
from pathlib import Path

MINUTE = 60


def current(database: Path | str) -> int:
    """The release that is out, 1 if none was deployed yet; ``SHOP_RELEASE`` in the environment wins."""
    given = os.environ.get("SHOP_RELEASE", "")
    try:
        return int(given or place(database).read_text())
    except (OSError, ValueError):
        return 1


def place(database: Path | str) -> Path:
    return Path(database).with_name("release")


def label(release: int) -> str:
    return f"2026.11.{release}"


class Behaviour:
    """How a release keeps things."""

    def __init__(self, release: int) -> None:
        careless = release % 2 == 0
        #: Lists got another shape, so their key got another version; on the way they lost their expiry and their tags.
        self.lists_version = release + 1
        self.lists_tags = [] if careless else ["category:{category.pk}"]
        self.lists_seconds = None if careless else 10 * MINUTE
        #: The history of a rate limit lost its expiry.
        self.limits_expire = not careless
        #: Cards tell when they were made. Their fragments vary on it, so that none is ever found again.
        self.dated_cards = careless
        #: Visits are counted elsewhere; nobody writes or reads the old counters any more.
        self.counts_views = not careless

"""Run as a program by a test: a worker that runs warmers and is killed. Arguments: database, socket, id."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator


def slow() -> Iterator[tuple[str, int]]:
    """A batch at once, then nothing more for long."""
    from cache_admin.caching.warming import BATCH

    for number in range(2 * BATCH):
        if number == BATCH + 1:
            time.sleep(120)
        yield f"slow:{number}", number


def main(database: str, socket: str, pk: str) -> None:
    from django.conf import settings

    from tests import settings as values

    shutil.rmtree(values.RUN_DIR)
    given = {name: getattr(values, name) for name in dir(values) if name.isupper()}
    given["DATABASES"]["default"]["NAME"] = database
    given["CACHES"]["default"]["LOCATION"] = f"unix://{socket}?db=0"
    settings.configure(**given)
    import django

    django.setup()
    from cache_admin.caching.warmers import warmer
    from cache_admin.operations import queueing

    warmer("first")(lambda: {"first": 1})
    warmer("slow")(slow)
    queueing.run_operation(pk)


if __name__ == "__main__":
    main(*sys.argv[1:])

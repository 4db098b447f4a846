"""Run as a program by a test: another process that looks at an operation, slowly. Arguments: database, socket, id."""

from __future__ import annotations

import shutil
import sys


def main(database: str, socket: str, pk: str) -> None:
    from django.conf import settings

    from tests import settings as values

    shutil.rmtree(values.RUN_DIR)
    given = {name: getattr(values, name) for name in dir(values) if name.isupper()}
    given["DATABASES"]["default"]["NAME"] = database
    given["CACHES"]["default"]["LOCATION"] = f"unix://{socket}?db=0"
    given["CACHE_ADMIN"] = {"RUNNER": "inline", "GENTLE_SHARE": 0.05}
    settings.configure(**given)
    import django

    django.setup()
    from cache_admin.models import Operation
    from cache_admin.operations import runner

    runner.poll(Operation.objects.get(pk=pk))


if __name__ == "__main__":
    main(*sys.argv[1:])

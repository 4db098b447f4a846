"""A process with children that ask little of the cache; run as a program by ``test_recording_site.py``.

Arguments: database, server URL, and how the children start: ``fork()`` by the call of the system, or a method of
``multiprocessing``. Each looks up three products, one of which is there. Prints a line when all is done.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

from django.conf import settings

from tests.monitoring.recording_site import configure


def work(database: str, url: str) -> None:
    if not settings.configured:  # nothing is inherited
        configure(database, url)
    from django.contrib.auth.models import User
    from django.core.cache import caches

    User.objects.exists()
    for pk in (1, 2, 3):
        caches["default"].get(f"product:{pk}")


def main(database: str, url: str, how: str) -> None:
    configure(database, url)
    from django.contrib.auth.models import User
    from django.core.cache import caches
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    caches["default"].set("product:1", 1, 60)
    if how == "fork()":
        pid = os.fork()
        if not pid:
            work(database, url)
            time.sleep(12)
            os._exit(0)  # as the workers of a task queue do, with no word to anybody
        os.waitpid(pid, 0)
    else:
        children = [multiprocessing.get_context(how).Process(target=work, args=(database, url)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0]
    assert not User.objects.exists()  # the connection is as it was
    sys.stdout.write("done\n")
    sys.stdout.flush()
    os._exit(0)  # what this process counted does not matter here


if __name__ == "__main__":
    main(*sys.argv[1:])

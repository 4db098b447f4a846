"""Another process of the same project, started by a test. Arguments: what to do, database, socket, and its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def start(what: str, database: object, socket: object, *arguments: object) -> subprocess.Popen[str]:
    """Starts it. It says ``ready`` when it is up, and goes on when it is written a line."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.monitoring.elsewhere", what, str(database), str(socket), *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'example_project'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(process: subprocess.Popen[str], number: int = 1) -> list[str]:
    assert process.stdout
    return [process.stdout.readline().strip() for _line in range(number)]


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def _set_up(database: str, socket: str) -> None:
    from django.conf import settings

    from tests import settings as values

    shutil.rmtree(values.RUN_DIR)
    given: Any = {name: getattr(values, name) for name in dir(values) if name.isupper()}
    given["DATABASES"]["default"]["NAME"] = database
    for db, alias in enumerate(("default", "core")):
        given["CACHES"][alias]["LOCATION"] = f"unix://{socket}?db={db}"
    settings.configure(**given)
    import django

    django.setup()


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def hold(name: str, seconds: str) -> None:
    """Asks for a lease once and then stays."""
    from cache_admin.monitoring import leases

    _say("won" if leases.hold(name, float(seconds)) else "lost")
    time.sleep(60)


def main(what: str, database: str, socket: str, *arguments: str) -> None:
    _set_up(database, socket)
    _say("ready")
    sys.stdin.readline()
    {"hold": hold}[what](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])

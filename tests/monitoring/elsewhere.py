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
    for db, alias in ((0, "default"), (0, "json"), (1, "core")):
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


def poll(cards: str, seconds: str) -> None:
    """So many open pages for a while, each asking twice a second. Says how many answers and errors they got."""
    import threading

    from django.db import connections

    from cache_admin.monitoring import sampler

    until = time.monotonic() + float(seconds)
    answers: list[bool] = []

    def card() -> None:
        while time.monotonic() < until:
            answers.append(sampler.reading("default").primary.error is None)
            time.sleep(0.5)
        connections.close_all()

    threads = [threading.Thread(target=card) for _card in range(int(cards))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _say(answers.count(True), answers.count(False))


def sample(times: str) -> None:
    """Samples so many times, when told to, and says how many servers it asked and left."""
    from cache_admin.monitoring import sampler

    for _time in range(int(times)):
        found = sampler.sample_all()
        _say(len(found.taken), len(found.left), *(str(one.error or "") for one in found.taken))
        sys.stdin.readline()


def command(*arguments: str) -> None:
    """``manage.py cache_sample``."""
    from django.core.management import call_command

    call_command("cache_sample", *arguments)


def main(what: str, database: str, socket: str, *arguments: str) -> None:
    _set_up(database, socket)
    _say("ready")
    sys.stdin.readline()
    {"hold": hold, "poll": poll, "sample": sample, "command": command}[what](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])

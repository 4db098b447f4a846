"""The demo: a real server, a filled shop, visitors, and the admin, from one command; Ctrl-C ends all of it.

Environment: ``PORT`` (8000; 0 takes any free one), ``KEYS`` (20000), ``REDIS_URL`` (a server of your own, which is
only added to; without it, one starts on a unix socket). Standard output is two lines, ``URL address`` and
``LOGIN name password``; everything else goes to standard error.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django
import embedded
import lifetime
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
SERVER_OPTIONS = ["maxmemory 1gb", "maxmemory-policy allkeys-lru"]


class WebServer(ThreadedWSGIServer):
    request_queue_size = 64


def main() -> None:
    lifetime.end_with_parent()
    with ExitStack() as stack:
        web = reserve_port()
        stack.callback(web.server_close)
        prepare_database(web.server_port)
        if "REDIS_URL" not in os.environ:
            os.environ["REDIS_URL"] = stack.enter_context(embedded.running(options=SERVER_OPTIONS)).url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_site.settings")
        django.setup()
        call_command("migrate", verbosity=0)
        call_command("shop_load", stdout=sys.stderr)
        call_command("shop_fill", keys=int(os.environ.get("KEYS", "20000")), stdout=sys.stderr)
        stack.enter_context(visitors())
        stack.enter_context(serving(web))
        names = ("REDIS_URL", "SHOP_DATABASE")
        settings = " ".join(f"{name}='{os.environ[name]}'" for name in names)
        print(f"In another terminal: {settings} {sys.executable} {HERE / 'manage.py'} help", file=sys.stderr)
        print(f"URL http://{HOST}:{web.server_port}/admin/\nLOGIN admin admin", flush=True)
        threading.Event().wait()


def reserve_port() -> WebServer:
    """Takes the port first, so that a taken one is said at once. It answers when everything is ready."""
    port = int(os.environ.get("PORT", "8000"))
    web = WebServer((HOST, port), WSGIRequestHandler, bind_and_activate=False)
    try:
        web.server_bind()
        web.server_activate()
    except OSError as error:
        raise SystemExit(
            f"Port {port} cannot be used ({error.strerror}). Name another one: make demo PORT=8001"
        ) from None
    return web


def prepare_database(port: int) -> None:
    """A database per port, new every time, for the caches that it belongs to are new too; kept with your own server."""
    run = HERE / ".run" / str(port)
    if "REDIS_URL" not in os.environ:
        shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SHOP_DATABASE", str(run / "db.sqlite3"))


@contextmanager
def visitors() -> Iterator[None]:
    """The shop's visitors, in a process of their own as in life."""
    command = [sys.executable, HERE / "manage.py", "shop_visit", f"--parent={os.getpid()}"]
    process = subprocess.Popen(command, env={**os.environ, "DEBUG": "0"}, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving(web: WebServer) -> Iterator[None]:
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from shop_site.wsgi import application

    logging.getLogger("django.server").setLevel(logging.WARNING)
    web.set_app(StaticFilesHandler(application))
    thread = threading.Thread(target=web.serve_forever, name="web", daemon=True)
    thread.start()
    try:
        yield
    finally:
        web.shutdown()
        thread.join()


if __name__ == "__main__":
    main()

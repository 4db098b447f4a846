"""The demo: a real server, a filled shop, visitors, and the admin, from one command; Ctrl-C ends all of it.

The shop and its visitors are processes of their own. ``shop_deploy`` puts another release out, and both start anew with
it, as they would on a site.

Environment: ``PORT`` (8000; 0 takes any free one), ``KEYS`` (20000), ``REDIS_URL`` (a server of your own, which is
only added to; without it, one starts on a unix socket). Standard output is two lines, ``URL address`` and
``LOGIN name password``; everything else goes to standard error.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import django
import embedded
import lifetime
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from shop import releases

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
        with deployed(web) as deploy:
            tell(web.server_port)
            deploy.wait()
        while True:
            with deployed(web) as deploy:
                deploy.wait()


def tell(port: int) -> None:
    settings = " ".join(f"{name}='{os.environ[name]}'" for name in ("REDIS_URL", "SHOP_DATABASE"))
    print(f"In another terminal: {settings} {sys.executable} {HERE / 'manage.py'} help", file=sys.stderr)
    print("A deploy with mistakes, for the page Deploys to find: the same with shop_deploy", file=sys.stderr)
    print(f"URL http://{HOST}:{port}/admin/\nLOGIN admin admin", flush=True)


class Deploy:
    """The release that is out, until :meth:`wait` is over."""

    def __init__(self) -> None:
        self.database = os.environ["SHOP_DATABASE"]
        self.release = releases.current(self.database)

    def wait(self) -> None:
        while releases.current(self.database) == self.release:
            time.sleep(0.2)


@contextmanager
def deployed(web: WebServer) -> Iterator[Deploy]:
    """The processes of the release that is out. Between two of them requests wait; none is refused."""
    deploy, port = Deploy(), web.socket.fileno()
    environment = {**os.environ, "RELEASE": releases.label(deploy.release)}
    with (
        running("demo.py", str(port), str(os.getpid()), environment=environment, keep=(port,)),
        running("manage.py", "shop_visit", f"--parent={os.getpid()}", environment={**environment, "DEBUG": "0"}),
    ):
        yield deploy


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
def running(program: str, *arguments: str, environment: dict[str, str], keep: tuple[int, ...] = ()) -> Iterator[None]:
    """A program of this directory in a process of its own, with the file descriptors ``keep``."""
    command = [sys.executable, HERE / program, *arguments]
    process = subprocess.Popen(command, env=environment, start_new_session=True, pass_fds=keep)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def serve(descriptor: int, parent: int) -> None:
    """The web server of one release, on a socket that listens already."""
    lifetime.end_with_parent(parent)
    web = WebServer((HOST, 0), WSGIRequestHandler, bind_and_activate=False)
    web.socket.close()
    web.socket = socket.socket(fileno=descriptor)
    web.server_name, web.server_port = web.socket.getsockname()
    web.setup_environ()
    django.setup()
    with serving(web):
        threading.Event().wait()


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
    if sys.argv[1:]:
        serve(*map(int, sys.argv[1:]))
    else:
        main()

"""A small site on a database of its own, served by several threads; run as a program by ``test_recording_site.py``.

Arguments: database, server URL, and how long the ticker beats between two looks. Prints its port.
"""

from __future__ import annotations

import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest, pk: int) -> HttpResponse:
    value = caches["default"].get_or_set(f"product:{pk}", lambda: "x" * 10, 60)
    return HttpResponse(value)


urlpatterns = [path("<int:pk>/", page)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def configure(database: str, url: str) -> None:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="s",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            *("django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes"),
            *("django.contrib.messages", "django.contrib.sessions", "django_htmx", "cache_admin"),
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": {"timeout": 1}}},
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "KEY_PREFIX": "site"}},
    )
    import django

    django.setup()


def main(database: str, url: str) -> None:
    configure(database, url)
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    from cache_admin.metrics.views import metrics

    urlpatterns.append(path("metrics", metrics, {"allowed": lambda request: True}))
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The figures of the dashboard for Prometheus. Needs the extra ``prometheus``; nothing else imports this package."""

from __future__ import annotations

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

if find_spec("prometheus_client") is None:
    raise ImproperlyConfigured(
        "cache_admin.metrics needs the library prometheus-client: pip install 'django-cache-admin[prometheus]'"
    )

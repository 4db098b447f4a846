"""Start-up: register the system checks, discover ``<app>/caching.py``, listen for cached querysets, count what caches
are asked, sample their servers, and once a day what fills them, mark the release that runs; nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.core import checks as django_checks
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from cache_admin.monitoring.ticker import Job


class CacheAdminConfig(AppConfig):
    name = "cache_admin"
    verbose_name = _("Cache admin")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from cache_admin import checks, conf
        from cache_admin.caching import levels, purging, rules
        from cache_admin.caching.querysets import listen
        from cache_admin.caching.signals import computed
        from cache_admin.keyspace import daily
        from cache_admin.monitoring import tallies, ticker

        django_checks.register(checks.check_all, "cache_admin")
        listen()
        autodiscover_modules("caching")
        computed.connect(ticker.computed, dispatch_uid="cache_admin.monitoring")
        if conf.current().RECORDING:
            for part, source in (("rules", rules), ("answers", levels), ("proxies", purging)):
                tallies.watch(part, source.all_figures)
        jobs = [ticker.Job(daily.EVERY, daily.remember_one, due=time.monotonic() + daily.EVERY)]
        if conf.current().RELEASE:
            jobs.append(_watch_release())
        ticker.start(*jobs)


def _watch_release() -> Job:
    from cache_admin.monitoring.ticker import Job
    from cache_admin.operations import deploying

    return Job(deploying.EVERY, deploying.watch_release)

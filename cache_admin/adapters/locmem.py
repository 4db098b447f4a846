"""Local memory: every process of the site has its own, so what is said of it is said of one of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from django.utils.translation import gettext as _

from cache_admin.adapters.fallback import FallbackAdapter


@dataclass(slots=True)
class LocMemAdapter(FallbackAdapter):
    """Exact keys of the process that answers."""

    may_hang: ClassVar[bool] = False
    label: ClassVar[str] = "Local memory"
    serves: ClassVar[tuple[str, ...]] = ("django.core.cache.backends.locmem.LocMemCache",)

    @property
    def scope(self) -> str:
        text = _("Only the memory of this worker process (pid %(pid)d) is meant: every process has its own.")
        return text % {"pid": os.getpid()}

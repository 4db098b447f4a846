"""System checks ``cache_admin.E001`` .. : pure functions that return messages. Each message is documented in
``docs/install.md``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage


def check_all(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """All checks of this package."""
    return []

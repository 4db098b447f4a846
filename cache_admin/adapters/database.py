"""A table of the project's database: exact keys, and words for a table that is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import DatabaseError, connections, router, transaction
from django.utils.translation import gettext as _

from cache_admin.adapters.fallback import FallbackAdapter
from cache_admin.exceptions import Unavailable


@dataclass(slots=True)
class DatabaseAdapter(FallbackAdapter):
    """Asks on the connection of the request, in a savepoint where there is a transaction: its failure costs nothing
    else."""

    may_hang: ClassVar[bool] = False
    label: ClassVar[str] = "A database table"
    serves: ClassVar[tuple[str, ...]] = ("django.core.cache.backends.db.DatabaseCache",)

    def perform(self, call: Callable[[Any], Any]) -> Any:
        cache: Any = self.cache
        using = router.db_for_write(cache.cache_model_class)
        try:
            if not connections[using].in_atomic_block:
                return FallbackAdapter.perform(self, call)
            with transaction.atomic(using):
                return FallbackAdapter.perform(self, call)
        except DatabaseError as error:
            raise self._explained(using, error) from None

    def _explained(self, using: str, error: DatabaseError) -> Unavailable:
        cache: Any = self.cache
        values = {"alias": self.alias, "table": cache._table, "error": type(error).__name__}
        try:
            missing = cache._table not in connections[using].introspection.table_names()
        except DatabaseError:
            missing = False
        if missing:
            return Unavailable(_("%(alias)s: its table %(table)s is missing: run manage.py createcachetable.") % values)
        return Unavailable(_("%(alias)s: the database does not answer, or is locked (%(error)s).") % values)

"""Everything that changes a cache on someone's behalf, and every long job."""

from __future__ import annotations

from cache_admin.operations.base import kinds
from cache_admin.operations.census import CensusKind
from cache_admin.operations.edit import Edit
from cache_admin.operations.expire import Expire
from cache_admin.operations.purge import Purge
from cache_admin.operations.values import Values
from cache_admin.operations.warm import Warm

for _kind in (Purge(), Expire(), CensusKind(), Edit(), Warm(), Values()):
    kinds.register(_kind.name, _kind)

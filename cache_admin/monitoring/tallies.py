"""What parts of the library did in all processes of the site: each process adds what it did since it last wrote.

A part is watched by a function that tells its figures in this process, by name of what did it: numbers that only grow,
``last_at`` (Unix time), and ``last_error``, which belongs to a grown ``failed``. Written every few seconds and at the
end of a process; what a database refuses is offered again, and a process that is killed loses what it has not written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from django.db import connections, router, transaction

from cache_admin.models import Tally
from cache_admin.monitoring.database import REFUSALS, impatient, looking

logger = logging.getLogger(__name__)

EVERY = 5.0  #: seconds between two writes
#: Names of one part that are kept, those that did something last.
MOST_NAMES = 500
PATIENCE = 100  #: milliseconds to wait for a locked database

Figures = dict[str, Any]
ByName = dict[str, Figures]
T = TypeVar("T")
Source = Callable[[], Mapping[str, Mapping[str, Any]]]

_sources: dict[str, Source] = {}
_written: dict[str, ByName] = {}  #: figures of this process that are in the database
_since = time.time()
_lock = threading.Lock()


def watch(part: str, source: Source) -> None:
    """Writes down what ``source`` tells from now on."""
    _sources[part] = source


def write() -> None:
    """Adds what this process did since the last time; never raises what a database raises."""
    with _lock:
        for part in list(_sources):
            now = _now(part)
            news = _grown(now, _written.get(part, {}))
            if news:
                try:
                    _add(part, news)
                except REFUSALS as error:  # another process may be writing as well
                    logger.debug("What %s did could not be written (%s); trying again.", part, error)
                    continue
            _written[part] = now


def read(part: str) -> tuple[float | None, ByName]:
    """Since when all processes are counted, and their figures; ``None`` where only this process can be asked, or where
    nothing is written down."""
    if part not in _sources:
        return None, {}
    using = router.db_for_read(Tally)
    with _lock:
        waiting = _grown(_now(part), _written.get(part, {}))
        try:
            with impatient(using, PATIENCE), looking(using):
                row = Tally.objects.using(using).filter(name=part).first()
        except REFUSALS:
            return None, _now(part)
    if row is None:
        return _since, waiting
    return row.since, _merged(row.figures, waiting)


def figures_of(kind: type[T], told: Mapping[str, Any]) -> T:
    """Figures as the dataclass they are of, whatever else another version stored."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in told.items() if name in known})


def forked() -> None:
    """In a child: what its parent did is the parent's."""
    global _lock, _since
    _lock = threading.Lock()
    _since = time.time()
    for part in _sources:
        _written[part] = _now(part)


def _now(part: str) -> ByName:
    source = _sources.get(part)
    return {name: dict(figures) for name, figures in source().items()} if source else {}


def _add(part: str, news: ByName) -> None:
    using = router.db_for_write(Tally)
    with impatient(using, PATIENCE), transaction.atomic(using):
        rows = Tally.objects.using(using).filter(name=part)
        if connections[using].features.has_select_for_update:
            rows = rows.select_for_update()
        row = rows.first()
        if row is None:
            Tally.objects.using(using).create(name=part, since=_since, figures=news)
            return
        row.figures = _bounded(_merged(row.figures, news))
        row.save(using=using, update_fields=["figures"])


def _grown(now: ByName, before: ByName) -> ByName:
    """What was done in between, by name; what did nothing is left out."""
    news = {}
    for name, figures in now.items():
        known = before.get(name, {})
        sums = {key: value - known.get(key, 0) for key, value in figures.items() if _is_sum(key, value)}
        if any(value < 0 for value in sums.values()):  # forgotten, and begun again
            sums = {key: figures[key] for key in sums}
        if any(sums.values()):
            news[name] = {**sums, "last_at": figures.get("last_at")}
            if sums.get("failed"):
                news[name]["last_error"] = figures.get("last_error", "")
    return news


def _merged(stored: ByName, news: ByName) -> ByName:
    found = {name: dict(figures) for name, figures in stored.items()}
    for name, more in news.items():
        figures = found.setdefault(name, {})
        later = (more.get("last_at") or 0) >= (figures.get("last_at") or 0)
        for key, value in more.items():
            if _is_sum(key, value):
                figures[key] = figures.get(key, 0) + value
            elif later or key not in figures or key == "last_error":
                figures[key] = value
    return found


def _bounded(figures: ByName) -> ByName:
    if len(figures) <= MOST_NAMES:
        return figures
    latest = sorted(figures.items(), key=lambda item: item[1].get("last_at") or 0, reverse=True)
    return dict(latest[:MOST_NAMES])


def _is_sum(key: str, value: object) -> bool:
    return isinstance(value, int | float) and key != "last_at"

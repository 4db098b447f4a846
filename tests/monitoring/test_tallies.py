"""Figures of all processes: nothing counted twice or lost, whoever writes, and whatever the database does."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from cache_admin.models import Tally
from cache_admin.monitoring import tallies

pytestmark = pytest.mark.django_db


class Process:
    """What a part did in this process."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, Any]] = {}

    def did(self, name: str, at: float, *, error: str = "") -> None:
        known = self.figures.get(name, {"fired": 0, "seconds": 0.0, "failed": 0, "last_at": None, "last_error": ""})
        self.figures[name] = {
            "fired": known["fired"] + 1,
            "seconds": known["seconds"] + 0.5,
            "failed": known["failed"] + bool(error),
            "last_at": at,
            "last_error": error or known["last_error"],
        }


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setattr(tallies, "_sources", {})
    monkeypatch.setattr(tallies, "_written", {})
    process = Process()
    tallies.watch("part", lambda: process.figures)
    return process


def told(name: str) -> dict[str, Any]:
    since, found = tallies.read("part")
    assert since is not None
    return found[name]


def another_process_wrote(**figures: Any) -> None:
    row = Tally.objects.get(name="part")
    row.figures = tallies._merged(row.figures, {"a": figures})
    row.save()


def test_what_is_not_written_yet_is_read_as_well(part: Process) -> None:
    part.did("a", 1.0)
    assert told("a")["fired"] == 1
    assert not Tally.objects.exists()
    tallies.write()
    part.did("a", 2.0)
    assert told("a") == {"fired": 2, "seconds": 1.0, "failed": 0, "last_at": 2.0}
    assert Tally.objects.get().figures["a"]["fired"] == 1


def test_each_process_adds_its_own_once(part: Process) -> None:
    part.did("a", 1.0)
    tallies.write()
    tallies.write()
    another_process_wrote(fired=5, seconds=1.0, failed=0, last_at=3.0)
    part.did("a", 2.0)
    tallies.write()
    assert told("a") == {"fired": 7, "seconds": 2.0, "failed": 0, "last_at": 3.0}


def test_the_last_error_is_that_of_the_last_failure(part: Process) -> None:
    part.did("a", 1.0, error="KeyError: mine")
    tallies.write()
    another_process_wrote(fired=1, seconds=0.5, failed=1, last_at=2.0, last_error="KeyError: theirs")
    part.did("a", 3.0)
    tallies.write()
    assert (told("a")["failed"], told("a")["last_error"]) == (2, "KeyError: theirs")


def test_nothing_is_asked_of_the_database_where_nothing_was_done(part: Process, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        tallies.write()


def test_what_a_database_refuses_is_offered_again(part: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    part.did("a", 1.0)
    with monkeypatch.context() as refusing:
        refusing.setattr(Tally.objects, "using", refuse)
        tallies.write()
        assert tallies.read("part") == (None, part.figures)
    tallies.write()
    assert told("a")["fired"] == 1


def test_a_child_does_not_write_what_its_parent_did(part: Process) -> None:
    part.did("a", 1.0)
    tallies.forked()
    tallies.write()
    part.did("a", 2.0)
    tallies.write()
    assert told("a")["fired"] == 1


def test_figures_that_were_forgotten_begin_again(part: Process) -> None:
    part.did("a", 1.0)
    part.did("a", 1.0)
    tallies.write()
    part.figures.clear()
    part.did("a", 2.0)
    tallies.write()
    assert told("a")["fired"] == 3


def test_only_so_many_names_are_kept(part: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MOST_NAMES", 2)
    for at, name in enumerate(("old", "new", "newest"), start=1):
        part.did(name, float(at))
        tallies.write()
    assert set(Tally.objects.get().figures) == {"new", "newest"}

"""Users, a toy operation that does what a test tells it, and waiting for background threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from cache_admin.models import Operation
from cache_admin.operations.base import Kind, Plan, Step, kinds


class Toy(Kind):
    """Takes ``params["steps"]`` steps of one key each; ``at`` may hold, count or break it at any of them."""

    name = "toy"
    permission = "invalidate"

    def __init__(self) -> None:
        self.at: Callable[[int], object] = lambda number: None
        self.closed = threading.Event()

    def steps(self, operation: Operation) -> Generator[Step, None, None]:
        try:
            for number in range(operation.cursor.get("next", 0), operation.params["steps"]):
                self.at(number)
                yield Step(cursor={"next": number + 1}, done_keys=1, done_bytes=10)
        finally:
            self.closed.set()


@pytest.fixture
def toy() -> Iterator[Toy]:
    with kinds.temporarily("toy", Toy()) as kind:
        yield kind


def toy_plan(steps: int = 3, **params: Any) -> Plan:
    return Plan(kind="toy", alias="default", params={"steps": steps, **params}, sentence="Play.", keys=steps)


def grant(user: User, *codenames: str) -> User:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def operator(db: None) -> User:
    """May invalidate, but nothing protected."""
    return grant(User.objects.create_user("olga", is_staff=True), "view_cache", "invalidate", "change_keys")


@pytest.fixture
def threads(settings: Any) -> Iterator[None]:
    """Operations run in background threads; the test ends when the last one has."""
    settings.CACHE_ADMIN = {"RUNNER": "thread"}
    yield
    end_operations()


def end_operations() -> None:
    """Waits for all operations that run in the background."""
    for thread in threading.enumerate():
        if thread.name.startswith("cache-admin-operation-"):
            thread.join(20)
            assert not thread.is_alive()


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)

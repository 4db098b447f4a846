"""Operations as tasks of Django's Tasks framework: ``django.tasks``, or the backport ``django-tasks`` on Django 5.2.

Imported only where ``RUNNER`` is ``"tasks"``, and by the workers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from django import VERSION

from cache_admin.operations import queueing

#: Used if the backend names it among its QUEUES, so that workers of their own can serve it.
QUEUE = "cache_admin"

framework: Any = import_module("django.tasks" if VERSION >= (6, 0) else "django_tasks")
_queues = framework.task_backends["default"].queues
_task: Callable[[Callable[[str], str]], Any] = framework.task(queue_name=QUEUE if QUEUE in _queues else "default")


@_task
def run_operation(pk: str) -> str:
    """Drives an operation to its end and returns its state."""
    return queueing.run_operation(pk)


def enqueue(pk: str) -> None:
    """Puts the operation ``pk`` on the queue."""
    run_operation.enqueue(pk)

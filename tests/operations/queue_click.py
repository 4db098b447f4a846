"""Run as a program by a test: the web process, in which somebody clicks. Prints who has the operation, and its keys."""

from __future__ import annotations

import sys

import django


def main() -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from cache_admin.operations import purge, runner
    from cache_admin.operations.targets import Target

    call_command("migrate", verbosity=0)
    user = User.objects.create_superuser("olga")
    operation = runner.start(purge.plan("default", [Target.glob("a:*")], user), user)
    sys.stdout.write(f"{operation.lease_owner} {operation.done_keys}")


if __name__ == "__main__":
    django.setup()
    main()

"""Signed-in clients with exactly the permissions a test names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from cache_admin import keys
from cache_admin.keyspace import reports
from cache_admin.views.base import PERMISSIONS

SignIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def fresh_reports() -> Iterator[None]:
    reports.forget()
    yield
    reports.forget()


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """``sign_in("view_cache", name="mia")``: a client of a staff user with these permissions and no others."""

    def make(*codenames: str, name: str = "mia", **options: bool) -> Client:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client(**options)
        client.force_login(user)
        client.user = user  # type: ignore[attr-defined]
        return client

    return make


@pytest.fixture
def client(sign_in: SignIn) -> Client:
    """Staff with all permissions of this package, and no superuser."""
    return sign_in(*PERMISSIONS, name="operator")


def url(name: str, *args: object) -> str:
    return reverse(f"admin:cache_admin_{name}", args=args)


def key_url(raw: bytes, alias: str = "default", name: str = "key") -> str:
    return url(name, alias, keys.token(raw))


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined,no-any-return]

"""Every URL, method and set of permissions, generated from the route table."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cache_admin import keys
from cache_admin.models import Operation
from cache_admin.views.base import PERMISSIONS, CacheView
from cache_admin.views.routes import ROUTES
from tests.views.conftest import SignIn, url

pytestmark = pytest.mark.usefixtures("raw")

SAMPLES = {
    "alias": "default",
    "slug": "headline",
    "kind": "csv",
    "quoted": "default",
    "token": keys.token(b"shop:1:a"),
    "template": keys.token(b"a"),
}
VIEWS = [pytest.param(name, view, id=name) for _, view, name in ROUTES]
METHODS = ("get", "post", "head", "put", "delete")


def address(name: str) -> str:
    route = next(route for route, _, other in ROUTES if other == name)
    params = re.findall(r"<(?:\w+:)?(\w+)>", route)
    return url(name, *(one_operation() if param == "pk" else SAMPLES[param] for param in params))


def one_operation(summary: str = "s", user: User | None = None, kind: str = "purge", state: str = "done") -> object:
    values = {"summary": summary, "user": user, "username": "x", "nonce": uuid4().hex, "lease_owner": "elsewhere"}
    until = timezone.now() + timedelta(minutes=1)
    return Operation.objects.create(kind=kind, alias="default", state=state, lease_until=until, **values).pk


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_staff_without_permissions_gets_nowhere(sign_in: SignIn, name: str, view: type[CacheView]) -> None:
    nobody, path = sign_in(), address(name)
    assert {method: getattr(nobody, method)(path).status_code for method in METHODS} == dict.fromkeys(METHODS, 403)


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_whoever_is_not_signed_in_goes_to_the_login(db: None, name: str, view: type[CacheView]) -> None:
    path = address(name)
    for method in METHODS:
        response = getattr(Client(), method)(path)
        assert response.status_code == 302
        assert response.url.startswith("/admin/login/")


@pytest.mark.parametrize(("name", "view"), VIEWS)
def test_its_own_permission_is_needed_and_enough(sign_in: SignIn, name: str, view: type[CacheView]) -> None:
    without = sign_in(*set(PERMISSIONS) - {view.permission})
    enough = sign_in("view_cache", view.permission, "view_audit", name="enough")
    path = address(name)
    for method in METHODS:
        assert getattr(without, method)(path).status_code == 403
        supported = hasattr(view, method) or (method == "head" and hasattr(view, "get"))
        status = getattr(enough, method)(path).status_code
        assert (status == 405) is not supported, method
        assert status < 500, method


@pytest.mark.parametrize("name", [name for _, view, name in ROUTES if hasattr(view, "post")])
def test_a_forged_htmx_header_changes_no_verdict(sign_in: SignIn, name: str) -> None:
    headers = {"HX-Request": "true", "HX-Boosted": "true", "HX-Target": "x", "HX-Current-URL": "https://evil/"}
    assert sign_in().post(address(name), headers=headers).status_code == 403


@pytest.mark.parametrize("name", [name for _, view, name in ROUTES if hasattr(view, "post")])
def test_a_post_without_csrf_token_is_refused(sign_in: SignIn, name: str) -> None:
    assert sign_in(*PERMISSIONS, enforce_csrf_checks=True).post(address(name)).status_code == 403


@pytest.mark.parametrize("alias", ["nowhere", "__class__", "..", "DEFAULT"])
@pytest.mark.parametrize("name", ["patterns", "large_keys", "keys", "invalidate"])
def test_an_unknown_alias_is_not_found(client: Client, name: str, alias: str) -> None:
    assert client.get(url(name, alias)).status_code == 404


def test_the_operations_of_others_need_the_audit_permission(sign_in: SignIn) -> None:
    mia, max_ = sign_in("view_cache", name="mia"), sign_in("view_cache", "view_audit", name="max")
    own, other = one_operation("mine", mia.user), one_operation("theirs", max_.user)
    assert mia.get(url("operation", own)).status_code == 200
    assert mia.get(url("operation", other)).status_code == 403
    assert max_.get(url("operation", own)).status_code == 200
    listed = mia.get(url("operations")).content.decode()
    assert "mine" in listed
    assert "theirs" not in listed
    assert "theirs" not in mia.get(url("operations_export")).content.decode()


@pytest.mark.parametrize(("kind", "permission"), [("census", "view_cache"), ("values", "view_values")])
def test_a_scan_of_others_is_followed_by_whoever_might_have_started_it(
    sign_in: SignIn, kind: str, permission: str
) -> None:
    max_ = sign_in("view_cache", permission, name="max")
    pk = one_operation("theirs", max_.user, kind, "running")
    able = sign_in("view_cache", permission, name="able")
    assert "theirs" in able.post(url("operation_progress", pk), headers={"HX-Request": "true"}).content.decode()
    unable = (
        sign_in("view_cache", name="unable") if permission != "view_cache" else sign_in("view_audit", name="unable")
    )
    assert unable.post(url("operation_progress", pk), headers={"HX-Request": "true"}).status_code == 403


def test_an_operation_of_a_kind_that_is_gone_needs_the_audit_permission(sign_in: SignIn) -> None:
    pk = one_operation(kind="gone")
    assert sign_in(*set(PERMISSIONS) - {"view_audit"}, name="others").get(url("operation", pk)).status_code == 403
    assert sign_in(*PERMISSIONS, name="all").get(url("operation", pk)).status_code == 200

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User
from django.core import signing

from cache_admin.exceptions import StalePlan
from cache_admin.models import Operation
from cache_admin.operations import runner
from cache_admin.operations.base import Plan
from cache_admin.operations.confirmation import redeem, token_for

from .conftest import toy_plan

pytestmark = pytest.mark.django_db


def test_a_token_brings_back_what_was_confirmed(operator: User) -> None:
    plan = toy_plan(5)
    again = redeem(token_for(plan, operator), operator, "default")
    assert (again.kind, again.alias, again.params, again.sentence, again.keys) == (
        plan.kind, plan.alias, plan.params, plan.sentence, plan.keys,
    )  # fmt: skip
    assert again.nonce


def test_two_tokens_of_one_plan_are_two_confirmations(operator: User) -> None:
    tokens = [token_for(toy_plan(), operator) for _ in range(2)]
    assert len({redeem(token, operator, "default").nonce for token in tokens}) == 2


def test_the_token_of_another_user_is_refused_and_audited(operator: User) -> None:
    thief = User.objects.create_user("thief")
    with pytest.raises(StalePlan, match="another user"):
        redeem(token_for(toy_plan(), operator), thief, "default")
    row = Operation.objects.get()
    assert (row.state, row.username) == ("refused", "thief")
    assert "Play." in row.summary


def test_the_token_of_another_alias_is_refused_and_audited(operator: User) -> None:
    with pytest.raises(StalePlan, match="for the cache default"):
        redeem(token_for(toy_plan(), operator), operator, "core")
    assert Operation.objects.get().state == "refused"


@pytest.mark.parametrize("damage", ["", "x", "a:b:c", "%00"])
def test_a_forged_token_is_refused_and_audited(operator: User, damage: str) -> None:
    with pytest.raises(StalePlan, match="damaged"):
        redeem(damage, operator, "default")
    assert Operation.objects.get().state == "refused"


def test_a_token_signed_for_another_purpose_is_refused(operator: User) -> None:
    with pytest.raises(StalePlan):
        redeem(signing.dumps({"user": str(operator.pk)}, salt="elsewhere"), operator, "default")


def test_an_old_token_is_refused_and_audited(operator: User, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHE_ADMIN = {"CONFIRMATION_SECONDS": 10}
    token, later = token_for(toy_plan(), operator), time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(StalePlan, match="older than"):
        redeem(token, operator, "default")
    assert Operation.objects.get().state == "refused"


@pytest.mark.parametrize("typed", ["", "Default", " default", "default ", "defaul"])
def test_a_typed_name_must_be_equal_to_the_letter(operator: User, typed: str) -> None:
    plan = Plan(kind="toy", alias="default", params={"steps": 1}, sentence="Play.", typed_name="default")
    token = token_for(plan, operator)
    with pytest.raises(StalePlan, match="exactly"):
        redeem(token, operator, "default", typed=typed)
    assert redeem(token, operator, "default", typed="default").kind == "toy"


def test_a_token_used_again_finds_the_first_operation(operator: User, toy) -> None:
    token = token_for(toy_plan(), operator)
    first = runner.start(redeem(token, operator, "default"), operator)
    second = runner.start(redeem(token, operator, "default"), operator)
    assert first.pk == second.pk
    assert Operation.objects.count() == 1
    assert second.done_keys == 3

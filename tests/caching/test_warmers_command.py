from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from cache_admin.caching.warmers import warmer, warmers
from cache_admin.caching.warming import BATCH


@pytest.fixture(autouse=True)
def known(cache, monkeypatch) -> Iterator[None]:
    before = dict(warmers._entries)
    warmers._entries.clear()
    add("products", lambda: {f"product:{n}": n for n in range(501)}, critical=True, patterns=["product:*"])
    add("menu", lambda: {"menu": 1}, group="categories", every=60)
    yield
    warmers._entries.clear()
    warmers._entries.update(before)


def add(name: str, function: Callable[[], Any], **options: Any) -> None:
    warmer(name, **options)(function)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*arguments: str, code: int = 0, err: Any = None) -> str:
    out = io.StringIO()
    caught = 0
    try:
        call_command("cache_warm", *arguments, stdout=out, stderr=err or io.StringIO())
    except CommandError as error:
        caught = error.returncode
        out.write(str(error))
    assert caught == code, out.getvalue()
    return out.getvalue()


def test_all_are_run_without_a_choice():
    assert "products  done  501" in run()
    assert caches["default"].get_many(["product:500", "menu"]) == {"product:500": 500, "menu": 1}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["menu"], ["menu"]),
        (["--group", "categories"], ["menu"]),
        (["--critical"], ["products"]),
        (["--due"], ["menu"]),
        (["--concurrent", "2"], ["products", "menu"]),
    ],
)
def test_some_are_chosen(arguments: list[str], names: list[str]):
    told = json.loads(run(*arguments, "--json"))
    assert ([one["name"] for one in told["warmers"]], told["ok"]) == (names, True)


def test_what_is_not_due_is_not_run():
    run("menu")
    assert "nothing to warm" in run("--due")


def test_a_failure_is_named_and_the_exit_code_is_1():
    add("broken", lambda: 1 / 0)
    text = run(code=1)
    assert "products  done" in text
    assert "1 warmer failed: broken" in text
    assert "ZeroDivisionError" in text


def test_a_failure_is_in_the_json_too():
    add("broken", lambda: 1 / 0)
    text = run("broken", "--json", code=1)
    told = json.loads(text.splitlines()[0])
    assert (told["ok"], told["warmers"][0]["state"]) == (False, "failed")


def test_one_that_is_running_is_refused():
    caches["default"].add("cache_warm:menu:lock", 1, 60)
    assert "running already" in run("menu", code=1)


@pytest.mark.parametrize("arguments", [["nothing"], ["--group", "nothing"], ["--concurrent", "0"]])
def test_wrong_usage_is_code_2(arguments: list[str]):
    run(*arguments, code=2)


def test_the_list_shows_what_there_is_and_how_it_went():
    run("products")
    header, products, menu = run("--list").splitlines()
    assert header.split() == ["warmer", "group", "cache", "last", "run", "fills"]
    assert products.index("critical") == header.index("cache") - len("critical  ")
    assert "default  done " in products
    assert "ago, 501 written" in products
    assert products.index("product:*") == header.index("fills")
    assert menu.split() == ["menu", "categories", "default", "never"]
    listed = json.loads(run("--list", "--json"))
    assert [(one["name"], one["every"], bool(one["last"])) for one in listed] == [
        ("products", None, True),
        ("menu", 60, False),
    ]
    assert "no such" in run("--list", "--group", "categories", "--critical")


def test_a_terminal_sees_progress():
    err = Terminal()
    run("products", err=OutputWrapper(err))
    assert "501" in err.getvalue()


def test_ctrl_c_stops_at_the_next_batch():
    def endless() -> Iterator[tuple[str, int]]:
        for number in range(10**9):
            if number == BATCH:
                os.kill(os.getpid(), signal.SIGINT)
            yield f"k{number % 5}", number

    assert threading.current_thread() is threading.main_thread()
    add("endless", endless, limit=20)
    assert "stopped" in run("endless", code=4)

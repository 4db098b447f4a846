"""The verdict table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cache_admin.adapters.server_info import Node
from cache_admin.exceptions import Unavailable
from cache_admin.monitoring.findings import about, findings, verdict
from cache_admin.monitoring.history import Recent, fold
from cache_admin.monitoring.sampler import NodeReading, Reading

from .conftest import info, reading

MB = 1024 * 1024
EMPTY = fold([], 0, 900)


def evicting(rate: float) -> Any:
    return replace(EMPTY, recent=Recent(seconds=300, evictions=rate))


@pytest.mark.parametrize(
    ("fields", "history", "level", "text"),
    [
        ({"memory": 10 * MB, "memory_limit": 100 * MB, "policy": "allkeys-lru"}, EMPTY, "good", "healthy"),
        ({"memory": 99 * MB, "memory_limit": 100 * MB, "policy": "allkeys-lru"}, EMPTY, "good", "healthy"),
        (
            {"memory": 92 * MB, "memory_limit": 100 * MB, "policy": "allkeys-lru"},
            evicting(120),
            "warn",
            "memory 92\u00a0% of max, evicting 120 keys/s",
        ),
        (
            {"memory": 97 * MB, "memory_limit": 100 * MB, "policy": "noeviction"},
            EMPTY,
            "bad",
            "noeviction at 97\u00a0% of max: writes will soon fail",
        ),
        (
            {"memory": 88 * MB, "memory_limit": 100 * MB, "policy": "noeviction"},
            EMPTY,
            "warn",
            "noeviction at 88\u00a0% of max: nothing makes room",
        ),
        (
            {"memory": 10 * MB, "memory_limit": 0},
            EMPTY,
            "warn",
            "no memory limit: 10.0\u00a0MB used, and the server may keep growing",
        ),
        ({"role": "replica"}, EMPTY, "warn", "is a replica: it takes no writes"),
        ({"clients": 95, "clients_limit": 100}, EMPTY, "warn", "95 of 100 connections in use"),
        ({"loading": 0.41}, EMPTY, "warn", "loading dataset, 41 %"),
        ({"memory": None, "memory_limit": None}, EMPTY, "good", "healthy"),
    ],
)
def test_verdict(fields: dict[str, Any], history: Any, level: str, text: str):
    found = verdict(reading(info(**fields)), history)
    assert (found.level, found.text) == (level, text)


def test_a_silent_server_is_the_worst():
    silent = reading(info(memory=1, memory_limit=0), Unavailable("default: not answering since 14:02:10."))
    assert verdict(silent, EMPTY).text == "not answering since 14:02:10."
    assert verdict(silent, EMPTY).level == "bad"


def test_each_server_is_named_where_there_are_several():
    nodes = (
        NodeReading(Node(0, "one:6379"), "1", info()),
        NodeReading(Node(1, "two:6379", primary=False), "2", None, Unavailable("default: refused.")),
    )
    assert [found.text for found in findings(Reading("default", nodes), EMPTY)] == ["two:6379: refused."]


def test_only_an_alias_is_cut_off_a_sentence():
    assert about(Unavailable("json: refused.")) == "refused."
    assert about(Unavailable("not permitted: +info")) == "not permitted: +info"

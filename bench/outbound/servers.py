"""What both servers are to the benchmark."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from attrs import frozen

from bench.inbound.processes import tree_cpu
from bench.outbound.scenarios import Scenario

DOMAIN = "bench.test"
SESSIONS = 20


@frozen
class Running:
    """`pid`: root of the process tree; `port`: takes mail."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        return tree_cpu(self.pid)


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

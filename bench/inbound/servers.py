"""What both servers are to the benchmark."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from bench.inbound.processes import tree_cpu


@frozen
class Server:
    """`pid`: root of its process tree; `ports` by the name of the certificate."""

    name: str
    pid: int
    ports: Mapping[str, int]
    empty: Callable[[], None] = lambda: None
    """throw away what was accepted so far"""
    state: Path = Path()
    """state directory of the appliance"""

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        return tree_cpu(self.pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def silent_destination() -> Iterator[int]:
    """Port of a mail server that accepts connections and never greets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]

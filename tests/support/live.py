"""A real appliance in the test's own process: store, sockets, queue and mail are there; only SSH is not."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define

from appliance_runtime.appliance import Appliance
from appliance_runtime.clock import Clock
from appliance_runtime.options import StartOptions
from appliance_runtime.services import Endpoint
from appliance_runtime.sessions import Session
from commands.arguments import split_line
from commands.catalog import catalog
from tests.support.terminal import run_batch, type_dialog


@define
class _Listening:
    sock: socket.socket

    def close(self) -> None:
        self.sock.close()


class _NoSsh:
    """Holds the port and serves nobody."""

    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> _Listening:
        return _Listening(sock)


@define
class Person:
    """A session and what is typed in it."""

    session: Session

    async def type(self, command: str, *answers: str) -> str:
        """A dialog; its transcript."""
        return (await type_dialog(_found(command).dialog, self.session, answers))[0]

    async def batch(self, line: str) -> tuple[str, bool]:
        """A batch line: (output, whether it failed)."""
        (parsed,) = split_line(line)
        return await run_batch(_found(parsed.name), self.session, line)

    async def done(self, *lines: str) -> None:
        """Batch lines that must succeed without a word."""
        for line in lines:
            assert await self.batch(line) == ("", False), line


def _found(name: str) -> Any:
    command = catalog().find(name)
    assert command is not None, name
    return command


@define
class Place:
    appliance: Appliance
    root: Path

    def person(self, user: str = "admin") -> Person:
        return Person(self.appliance.open_session(user=user, kind="cli", remote="192.0.2.9"))

    def port(self, owner: str, service: str = "smtp") -> int:
        """Real port of a service. Errors: StopIteration."""
        return next(real[1] for endpoint, real in self.appliance.sockets if (endpoint.owner, endpoint.service) == (owner, service))

    def lines(self, log: str) -> list[str]:
        return self.appliance.logs.lines(log, 1000)


@asynccontextmanager
async def live(root: Path, *maps: str, clock: Clock | None = None, **options_: Any) -> AsyncIterator[Place]:
    """An appliance on loopback ports with a state directory below `root`. `options_`: further start options."""
    given: dict[str, Any] = {"dns": ("127.0.0.1:1",), "passphrase": "correct-horse-battery", **options_}
    options = StartOptions(state=root / "state", maps=(*maps, "auto"), **given)
    appliance = await Appliance.open(options, clock)
    await appliance.start(_NoSsh())
    try:
        yield Place(appliance, root)
    finally:
        await appliance.stop(1.0)

"""A wire in memory for the tests of terminals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asyncos_shell.terminals.lines import LineTerminal


class MemoryWire:
    """Keeps what was sent. `stuck`: the client does not read."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.sent = bytearray()
        self.held: list[bool] = []
        self.stuck = stuck
        self.was_cut = False

    def send(self, data: bytes) -> None:
        self.sent += data

    def unsent(self) -> int:
        return len(self.sent) if self.stuck else 0

    def hold(self, held: bool) -> None:
        self.held.append(held)

    def cut(self) -> None:
        self.was_cut = True


def make_terminal(**options: Any) -> tuple[LineTerminal, MemoryWire]:
    wire = MemoryWire(stuck=options.pop("stuck", False))
    return LineTerminal(wire, **options), wire


def person(**options: Any) -> tuple[LineTerminal, MemoryWire]:
    """An SSH session with PTY."""
    return make_terminal(keyboard=True, echo=True, crlf=True, **options)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def soon(work: Awaitable[Any]) -> Any:
    """The result of work that must not hang."""
    async with asyncio.timeout(20):
        return await work

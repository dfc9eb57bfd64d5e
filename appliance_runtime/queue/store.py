"""The queue's database as the appliance sees it: a process of its own writes it (`storing`).

In a thread of the appliance SQLite would let go of the interpreter several times for each transaction, and wait each time until
the event loop lets go of it again, for which the loop waits in turn: without, accepting is 1.1 and relaying 1.2 times as fast.
The process begins with the first transaction, or with `begin`. If it ends although nobody asked for it, what it was about is
refused, but may be on disk; the next transaction has another one.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from appliance_runtime.child import child
from appliance_runtime.queue.database import Statement
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.queue.storing import packed

PROCESS = "appliance_runtime.queue.storing"
PAUSE = 1.0
"""seconds of real time from the start of a process that ends unasked to that of the next, at least"""


class Outcome(NamedTuple):
    """Of a transaction. `uncertain`: it failed, but nobody knows whether it is on disk."""

    error: QueueFull | QueueError | None = None
    uncertain: bool = False


class _Link(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    process: AsyncExitStack
    """ends with it"""


class Store:
    """One transaction at a time. `lock`: a descriptor that every process keeps open which may write the file."""

    def __init__(self, path: Path, limit: int, lock: int) -> None:
        self.transactions = 0
        """that succeeded"""
        self.report: Callable[[str], object] = lambda problem: None
        """told when a process has ended unasked"""
        self._path = path
        self._limit = limit
        self._lock = lock
        self._link: _Link | None = None
        self._starting = asyncio.Lock()
        self._begun = float("-inf")

    async def begin(self) -> None:
        """Have the process ready, if it can be had."""
        await self._linked()

    async def transaction(self, statements: list[Statement]) -> Outcome:
        """Do all or nothing, durably."""
        if self._link is not None and self._link.reader.at_eof():  # it has ended with nothing to do
            await self._lose()
        link = self._link or await self._linked()
        if isinstance(link, QueueError):
            return Outcome(link)
        try:
            link.writer.write(packed(statements))
            answer = await link.reader.readline()
        except ConnectionError:
            answer = b""
        if not answer.endswith(b"\n"):
            return Outcome(await self._lose(), uncertain=True)
        problem = json.loads(answer)
        if problem is None:
            self.transactions += 1
            return Outcome()
        full, uncertain, reason = problem
        return Outcome(QueueFull(reason) if full else QueueError(reason), uncertain)

    async def _lose(self) -> QueueError:
        begun = self._begun
        await self.let_go()
        self._begun = begun
        error = QueueError("the process that stores messages has ended")
        self.report(str(error))
        return error

    async def let_go(self) -> None:
        """End the process: nobody has the file open for writing then. Not during a transaction."""
        self._begun = float("-inf")
        link, self._link = self._link, None
        if link is not None:
            await link.process.aclose()

    async def _linked(self) -> _Link | QueueError:
        async with self._starting:
            if self._link is None:
                now = asyncio.get_running_loop().time()
                if now < self._begun + PAUSE:
                    return QueueError("the process that stores messages is not running")
                self._begun = now
                try:
                    self._link = await self._start()
                except OSError as error:
                    return QueueError(str(error))
            return self._link

    async def _start(self) -> _Link:
        async with AsyncExitStack() as stack:
            near, far = socket.socketpair()
            stack.callback(near.close)
            with far:
                await stack.enter_async_context(child(PROCESS, channel=far, keep=(self._lock,)))
            reader, writer = await asyncio.open_unix_connection(sock=near)
            stack.callback(writer.close)
            writer.write(packed((str(self._path), self._limit)))
            return _Link(reader, writer, stack.pop_all())

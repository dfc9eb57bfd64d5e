"""Standard input and output as a terminal: a pipe, a file, the answers of `-c`, or the keys of a local terminal.

Reading and writing happen in threads, so that a slow reader behind a pipe stops the session only, not the appliance
that runs in the same process. The threads do not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable

from asyncos_shell.terminals.editor import LineEditor
from asyncos_shell.terminals.lines import LineTerminal

CHUNK = 64 * 1024


class StreamTerminal(LineTerminal):
    """A terminal on two file descriptors."""

    def __init__(
        self, source: int, sink: int, *, keyboard: bool = False, echo: bool = False, editor: LineEditor | None = None, rows: int = 0
    ) -> None:
        wire = _Descriptors(source, sink)
        super().__init__(wire, keyboard=keyboard, echo=echo, editor=editor or LineEditor(), rows=rows)
        self._descriptors = wire
        wire.start(self)

    async def close(self) -> None:
        """Wait until everything has been written."""
        self.flush()
        await self._descriptors.close()


class _Descriptors:
    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._loop = asyncio.get_running_loop()
        self._reading = threading.Event()
        self._reading.set()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._held = False
        self._unsent = 0
        self._written = asyncio.Event()
        self._terminal: LineTerminal
        self._broken = False

    def start(self, terminal: LineTerminal) -> None:
        self._terminal = terminal
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def send(self, data: bytes) -> None:
        if not self._broken:
            self._unsent += len(data)
            self._outgoing.put(data)

    def unsent(self) -> int:
        return self._unsent

    def hold(self, held: bool) -> None:
        self._held = held
        if not held:
            self._reading.set()

    def cut(self) -> None:
        self._lost()

    async def close(self) -> None:
        self._outgoing.put(None)
        await self._written.wait()

    def _tell(self, told: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(told, *arguments)

    def _read(self) -> None:
        while True:
            self._reading.wait()
            self._reading.clear()
            try:
                data = os.read(self._source, CHUNK)
            except OSError:
                data = b""
            if not data:
                self._tell(self._terminal.ended)
                return
            self._tell(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        self._terminal.received(data)
        if not self._held:
            self._reading.set()

    def _write(self) -> None:
        while (data := self._outgoing.get()) is not None:
            left = memoryview(data)
            try:
                while left:
                    left = left[os.write(self._sink, left) :]
            except OSError:
                self._tell(self._lost)
            self._tell(self._sent, len(data))
        self._tell(self._written.set)

    def _sent(self, count: int) -> None:
        self._unsent -= count

    def _lost(self) -> None:
        """Nobody reads any more: the session has nobody to talk to."""
        self._broken = True
        self._terminal.ended()

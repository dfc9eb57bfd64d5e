"""The private socket of a running appliance, on which local sessions attach to it (users-and-access.md 1, 5.).

Mode 0600 in a directory of mode 0700: who can open it is the owner of the state directory, hence `admin`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import TYPE_CHECKING, cast

from attrs import define, field

from asyncos_shell import frames
from asyncos_shell.login import Entrance, local_entrance, serve_session
from asyncos_shell.paths import socket_path
from asyncos_shell.terminals.editor import LineEditor, moves_up
from asyncos_shell.terminals.lines import LineTerminal
from commands.registry import Registry

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

BACKLOG = 64


@define(eq=False)
class Console:
    """Accepts local sessions."""

    appliance: Appliance
    registry: Registry
    tasks: set[asyncio.Task[int]] = field(factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        path = self.appliance.directory.console
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with socket_path(path) as name:
                sock.bind(name)
        finally:
            os.umask(before)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: Attached(self), sock=sock, backlog=BACKLOG)

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.appliance.directory.console.unlink(missing_ok=True)

    async def run(self, terminal: LineTerminal, entrance: Entrance) -> int:
        return await serve_session(self.appliance, self.registry, terminal, entrance)

    def finished(self, task: asyncio.Task[int]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.appliance.supervisor.report("console", f"{type(error).__name__}: {error}")


class Attached(asyncio.Protocol):
    """One attached session: the wire of its terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._frames = frames.Frames()
        self._transport: asyncio.Transport
        self._terminal: LineTerminal | None = None
        self._task: asyncio.Task[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, content in self._frames.feed(data):
                self._take(kind, content)
        except ValueError:
            self._transport.abort()

    def _take(self, kind: bytes, content: bytes) -> None:
        terminal = self._terminal
        match kind:
            case frames.HELLO if terminal is None:
                self._begin(json.loads(content))
            case frames.INPUT if terminal:
                terminal.received(content)
            case frames.END if terminal:
                terminal.ended()
            case frames.SIZE if terminal:
                terminal.editor.columns, terminal.rows = map(int, content.split())
            case frames.INTERRUPT if terminal:
                terminal.interrupt()
            case _:
                raise ValueError("unexpected frame")

    def _begin(self, hello: dict[str, object]) -> None:
        keyboard, line = bool(hello["keyboard"]), hello["line"]
        columns, rows = cast(tuple[int, int], hello["size"])
        editor = LineEditor(columns=columns, moves_up=moves_up(str(hello["term"])))
        self._terminal = LineTerminal(self, keyboard=keyboard, echo=bool(hello["echo"]), editor=editor, rows=rows)
        entrance = local_entrance(keyboard=keyboard, line=None if line is None else str(line))
        self._task = asyncio.get_running_loop().create_task(self._serve(self._terminal, entrance))
        self._console.tasks.add(self._task)
        self._task.add_done_callback(self._console.finished)

    async def _serve(self, terminal: LineTerminal, entrance: Entrance) -> int:
        status = 1
        try:
            status = await self._console.run(terminal, entrance)
        finally:
            terminal.flush()
            self._transport.write(frames.frame(frames.STATUS, b"%d" % status))
            self._transport.close()
        return status

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    # -- the wire of the terminal -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), frames.LARGEST):
            self._transport.write(frames.frame(frames.OUTPUT, data[start : start + frames.LARGEST]))

    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    def hold(self, held: bool) -> None:
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def cut(self) -> None:
        self._transport.abort()

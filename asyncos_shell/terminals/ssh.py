"""One SSH channel as a terminal: a shell or an exec request, with or without PTY (conventions.md 1, 14; RFC 4254 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncssh

from asyncos_shell.terminals.editor import LineEditor, moves_up
from asyncos_shell.terminals.lines import LineTerminal

WIDEST = 100_000
"""columns; a wider screen is as good as endless"""
Run = Callable[["SshChannel"], Awaitable[int]]


class SshChannel(asyncssh.SSHServerSession[bytes]):
    """`run` is called with this channel when the client has said what it wants; its result is the exit status.

    `command`: None = a shell. The work is cancelled when the channel or its connection is lost.
    """

    def __init__(self, run: Run, started: Callable[[asyncio.Task[int]], None]) -> None:
        self._run = run
        self._started = started
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._term: str | None = None
        self._columns = self._rows = 0
        self._task: asyncio.Task[int] | None = None
        self._early: list[bytes] = []
        """input that came before somebody took it"""
        self._received: Callable[[bytes], None] = self._early.append
        self._ended: Callable[[], None] = self._note_early_end
        self._ended_early = False
        self._lost = False
        self.command: str | None = None
        self.terminal: LineTerminal

    # -- what the client wants --------------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        self._term = term_type
        self._columns, self._rows = term_size[:2]
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._columns, self._rows = width, height
        if self._task is not None:
            self.terminal.editor.columns, self.terminal.rows = min(width, WIDEST), height

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self.command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        return False

    def session_started(self) -> None:
        person = self._term is not None and self.command is None
        editor = LineEditor(columns=min(self._columns, WIDEST), moves_up=moves_up(self._term or ""))
        self.terminal = LineTerminal(self, keyboard=person, echo=person, crlf=self._term is not None, editor=editor, rows=self._rows)
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._started(self._task)

    def use(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Where input goes from now on, and what came before."""
        self._received, self._ended = received, ended
        for data in self._early:
            received(data)
        if self._ended_early:
            ended()

    def use_terminal(self) -> LineTerminal:
        """Input goes to the terminal."""
        self.use(self.terminal.received, self.terminal.ended)
        return self.terminal

    def _note_early_end(self) -> None:
        self._ended_early = True

    async def _serve(self) -> int:
        status = 1
        try:
            status = await self._run(self)
        finally:
            if not self._lost:
                self.terminal.flush()
                self._channel.exit(status)
        return status

    # -- input ------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._received(data)

    def eof_received(self) -> bool:
        self._ended()
        return True

    def signal_received(self, signal: str) -> None:
        if signal == "INT" and self._task is not None:
            self.terminal.interrupt()

    def break_received(self, msec: int) -> bool:
        self.signal_received("INT")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._task is not None:
            self._task.cancel()

    # -- the wire of the terminal -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if not self._lost and not self._channel.is_closing():
            self._channel.write(data)

    def unsent(self) -> int:
        if self._lost:
            return 0
        # A client with an endless window keeps its data in the buffer of the connection, which the channel does not count.
        transport = self._channel.get_connection()._transport
        waiting = transport.get_write_buffer_size() if isinstance(transport, asyncio.Transport) else 0
        return self._channel.get_write_buffer_size() + waiting

    def hold(self, held: bool) -> None:
        if held:
            self._channel.pause_reading()
        else:
            self._channel.resume_reading()

    def cut(self) -> None:
        self._channel.get_connection().abort()

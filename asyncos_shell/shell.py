"""The prompt of one session: reads lines, runs their commands, and says with which status it ended (conventions.md 3, 4, 8, 12, 13).

Two forms: a shell prints the prompt, reads line after line, and sets blank lines around the output of a command; a
single line (exec, `-c`) prints neither. Commands of one line share the session; a failed one does not stop the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from attrs import define

from appliance_runtime.sessions import Session
from asyncos_shell.absent import absent
from commands.arguments import NO_BATCH, Arguments, CommandLine, split_line
from commands.dialog import Cancelled, Conversation, EndOfInput, Interrupted, Refused, Rejected, SyntaxProblem, Terminal
from commands.help import unknown
from commands.registry import Command, Registry, without_secrets

_BLANKS = str.maketrans("\t\r\n", "   ")
NOT_RECORDED = "-- Changes not recorded\n"


class ShellTerminal(Terminal, Protocol):
    """A terminal that a session can be run on."""

    on_interrupt: Callable[[], None] | None
    """called for a Ctrl-C that no question waits for"""
    on_input: Callable[[], None] | None
    """called whenever something was typed"""
    line_ends: int
    """line ends since the last other output: 0 = the cursor stands behind text, 2 = below a blank line"""

    async def drained(self) -> None:
        """Wait until everything that was written has been taken."""


@define(eq=False)
class Shell:
    """`line`: the one line to run; None = a shell. `comments`: lines that begin with `#` are ignored."""

    session: Session
    terminal: ShellTerminal
    registry: Registry
    line: str | None = None
    comments: bool = False
    failed: bool = False
    _evicted: bool = False

    async def run(self, greeting: str = "") -> int:
        """The whole session; its exit status."""
        task = asyncio.current_task()
        assert task is not None
        self.session.on_close = lambda text: self._evict(text, task)
        try:
            if self.line is not None:
                await self.execute(self.line)
            else:
                self.terminal.write(greeting)
                await self._loop()
            await self.terminal.drained()
        except asyncio.CancelledError:
            if not self._evicted:
                raise
            task.uncancel()
            self.failed = True
        finally:
            self.session.on_close = None
        return 1 if self.failed and (self._evicted or not self.terminal.keyboard) else 0

    def _evict(self, text: str, task: asyncio.Task[object]) -> None:
        """The appliance ends the session: say so on a new line."""
        if not self._evicted:
            self._evicted = True
            self.session.closing = True
            self.terminal.write(f"{text}\n" if self.terminal.line_ends else f"\n{text}\n")
            task.cancel()

    async def _loop(self) -> None:
        words = self.registry.names
        while not self.session.closing:
            hostname = self.session.appliance.running()[1].system.hostname
            try:
                line = await self.terminal.read_line(f"{hostname}> ", words=[w for w in words if len(w) > 1], history=True)
            except Interrupted:
                continue
            except EndOfInput:
                if not self.terminal.keyboard:
                    return
                line = "exit"
            if not (self.comments and line.startswith("#")):
                await self.execute(line)

    async def execute(self, line: str) -> None:
        """Run the commands of a line."""
        commands = split_line("".join(char for char in line.translate(_BLANKS) if char >= " " and char != "\x7f"))
        if not commands:
            return
        self._log(line, commands)
        for command in commands:
            self._blank_line()
            going_on = await self._complete(command)
            if self.session.closing:
                return
            if not going_on:
                break
        self._blank_line()

    def _blank_line(self) -> None:
        """Around the output of a command, in shells."""
        if self.line is None and self.terminal.line_ends < 2:
            self.terminal.write("\n")

    def _log(self, line: str, commands: list[CommandLine]) -> None:
        executed = all(self.registry.find(command.name) for command in commands)
        outcome = "executed" if executed else "rejected"
        self.session.appliance.logs.event(
            "cli.command", pid=self.session.pid, user=self.session.user, line=without_secrets(line.strip()), outcome=outcome
        )

    async def _complete(self, entry: CommandLine) -> bool:
        """Run one command; False = the rest of the line is dropped."""
        talk = Conversation(self.terminal)
        try:
            await self._interruptible(self._run(talk, entry))
        except (Refused, Rejected) as problem:
            talk.fail(str(problem))
        except Cancelled:
            pass
        except Interrupted:
            self._leave_unfinished(talk)
            return False
        except EndOfInput:
            self._leave_unfinished(talk)
            self.session.closing = self.session.closing or not self.terminal.keyboard
            return False
        self.failed = self.failed or talk.any_failed
        return True

    def _leave_unfinished(self, talk: Conversation) -> None:
        self.failed = True
        if talk.unrecorded:
            self.terminal.write(NOT_RECORDED)

    async def _run(self, talk: Conversation, entry: CommandLine) -> None:
        command = self.registry.find(entry.name)
        if command is None:
            if absent(entry.name):
                raise Refused(f'The command "{entry.name.lower()}" is not available in this product.')
            raise Refused(unknown(entry.name))
        try:
            await self._call(talk, command, entry)
        except SyntaxProblem as problem:
            token = "" if problem.token is None else f"\n: '{problem.token}'"
            raise Refused(f"Invalid arguments when processing {command.name}:\n{problem}{token}") from None

    async def _call(self, talk: Conversation, command: Command, entry: CommandLine) -> None:
        if entry.problem:
            raise SyntaxProblem(entry.problem)
        if not entry.arguments:
            await command.dialog(talk, self.session)
        elif command.batch is None:
            raise SyntaxProblem(NO_BATCH)
        else:
            await command.batch(talk, self.session, Arguments(list(entry.arguments)))

    async def _interruptible(self, work: Coroutine[None, None, None]) -> None:
        """Run a command so that a Ctrl-C stops it at once. Errors: Interrupted."""
        task = asyncio.ensure_future(work)
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        self.terminal.on_interrupt = stop
        try:
            await _settled(task)
        finally:
            self.terminal.on_interrupt = None
        if stopped and task.cancelled():
            raise Interrupted
        task.result()


async def _settled(task: asyncio.Task[None]) -> None:
    """Wait for a task; when this is cancelled, the task is too, and waited for."""
    try:
        await asyncio.wait((task,))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))

"""A terminal that types what the test says and keeps what it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from appliance_runtime.sessions import Session
from commands.arguments import Arguments, split_line
from commands.dialog import Conversation, EndOfInput, Interrupted, Refused, Rejected, SyntaxProblem
from commands.registry import Command

CTRL_C = "\x03"


class ScriptedTerminal:
    """Answers in order; `CTRL_C` interrupts, and after the last answer the input has ended.

    `screen` looks like a terminal: what was typed stands behind its prompt, hidden answers do not.
    """

    def __init__(self, answers: Sequence[str] = (), *, keyboard: bool = False, rows: int = 0) -> None:
        self.paging = True
        self.rows = rows
        self.answers = list(answers)
        self.keyboard = keyboard
        self.screen = ""

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        await asyncio.sleep(0)
        self.screen += prompt
        if not self.answers:
            self.screen += "\n"
            raise EndOfInput
        answer = self.answers.pop(0)
        if answer == CTRL_C:
            self.screen += "^C\n"
            raise Interrupted
        self.screen += ("" if hidden else answer) + "\n"
        return answer

    @property
    def page_rows(self) -> int:
        return self.rows if self.paging else 0

    async def read_key(self) -> None:
        if not self.answers:
            raise EndOfInput
        if self.answers.pop(0) == CTRL_C:
            raise Interrupted

    def write(self, text: str) -> None:
        self.screen += text


async def type_dialog(
    dialog: Callable[[Conversation, Session], Awaitable[None]], session: Session, answers: Sequence[str]
) -> tuple[str, bool]:
    """Run a dialog with `answers`; (transcript without the leading blank line, whether it counts as failed).

    Ctrl-C and the end of the answers end it as at the main prompt.
    """
    terminal = ScriptedTerminal(answers)
    talk = Conversation(terminal)
    try:
        await dialog(talk, session)
    except (EndOfInput, Interrupted):
        talk.failed = True
    except Refused as refusal:
        talk.fail(str(refusal))
    assert not terminal.answers, f"answers left: {terminal.answers!r}\n{terminal.screen}"
    return terminal.screen, talk.any_failed


async def run_dialog(command: Command | Any, session: Session, answers: Sequence[str]) -> str:
    """Transcript of a command (or of a menu) whose dialog is answered with `answers`."""
    if isinstance(command, Command):
        return (await type_dialog(command.dialog, session, answers))[0]
    return (await type_dialog(command.run, session, answers))[0]


async def run_batch(command: Command, session: Session, line: str) -> tuple[str, bool]:
    """Run a batch line such as `destconfig new a.test --tls=required`: (output, whether it failed)."""
    (parsed,) = split_line(line)
    assert parsed.name == command.name or parsed.name in command.aliases
    terminal = ScriptedTerminal()
    talk = Conversation(terminal)
    assert command.batch is not None
    try:
        await command.batch(talk, session, Arguments(list(parsed.arguments)))
    except (Refused, Rejected) as refusal:
        talk.fail(str(refusal))
    except SyntaxProblem as problem:
        talk.fail(
            f"Invalid arguments when processing {command.name}:\n{problem}" + ("" if problem.token is None else f"\n: '{problem.token}'")
        )
    return terminal.screen, talk.any_failed

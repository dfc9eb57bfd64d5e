"""The local terminal for a person: history, search and a completion menu by prompt_toolkit (labs-and-ci.md 2, `--ui rich`).

The texts are those of every other terminal; only the line being typed is drawn by the library.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import DummyHistory, InMemoryHistory
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.patch_stdout import patch_stdout

from asyncos_shell.keys import keys
from commands.dialog import EndOfInput, Interrupted


class _Words(Completer):
    """Candidates for the text before the cursor; on command lines for the command behind the last `;`."""

    def __init__(self, words: Sequence[str], command: bool) -> None:
        self._words, self._command = words, command

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        start = (typed.rpartition(";")[2] if self._command else typed).lstrip()
        if start or complete_event.completion_requested:
            for word in self._words:
                if word.lower().startswith(start.lower()):
                    yield Completion(word, start_position=-len(start))


class _Nothing(Processor):
    """Shows nothing of what is typed."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        return Transformation([], source_to_display=lambda _: 0, display_to_source=lambda _: 0)


class RichTerminal:
    """Terminal of `commands.dialog` for a person at the local terminal."""

    keyboard = True
    paging = True

    def __init__(self) -> None:
        self.on_interrupt: Callable[[], None] | None = None
        self.on_input: Callable[[], None] | None = None
        self.line_ends = 2
        self._commands: PromptSession[str] = PromptSession(history=InMemoryHistory(), complete_while_typing=True)
        self._answers: PromptSession[str] = PromptSession(history=DummyHistory(), complete_while_typing=True)
        self._secrets: PromptSession[str] = PromptSession(history=DummyHistory(), input_processors=[_Nothing()])
        self._pasted: deque[str] = deque()

    def write(self, text: str) -> None:
        if text:
            ends = len(text) - len(text.rstrip("\n"))
            self.line_ends = min(2, ends if ends < len(text) else self.line_ends + ends)
            sys.stdout.write(text)

    async def drained(self) -> None:
        sys.stdout.flush()

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        await self.drained()
        if self._pasted:
            line = self._pasted.popleft()
            self.write(prompt + ("" if hidden else line) + "\n")
            return line
        session = self._secrets if hidden else self._commands if history else self._answers
        try:
            with patch_stdout(raw=True):
                # In its raw mode Ctrl-C is a key; the signal stays with the command that runs between two questions.
                text = await session.prompt_async(prompt, completer=None if hidden else _Words(words, history), handle_sigint=False)
        except KeyboardInterrupt:
            self.write("^C\n")
            raise Interrupted from None
        except EOFError:
            self.line_ends = 1
            raise EndOfInput from None
        self.line_ends = 1
        if self.on_input:
            self.on_input()
        # A paste may hold several lines; the Enter that sends it off is not one more.
        line, *more = text.removesuffix("\n").split("\n")
        self._pasted.extend(more)
        return line

    @property
    def page_rows(self) -> int:
        return shutil.get_terminal_size().lines if self.paging else 0

    async def read_key(self) -> None:
        await self.drained()
        loop = asyncio.get_running_loop()
        pressed = asyncio.Event()
        stdin = sys.stdin.fileno()
        with keys(stdin):
            loop.add_reader(stdin, pressed.set)
            try:
                await pressed.wait()
            finally:
                loop.remove_reader(stdin)
            key = os.read(stdin, 1)
        if self.on_input:
            self.on_input()
        if key == b"\x03":
            raise Interrupted
        if not key:
            raise EndOfInput

    def interrupt(self) -> None:
        """Ctrl-C while a command runs."""
        if self.on_interrupt:
            self.write("^C\n" if self.line_ends else "\n^C\n")
            self.on_interrupt()


@contextmanager
def rich_terminal() -> Iterator[RichTerminal]:
    """The terminal, with Ctrl-C as a key of the session."""
    terminal = RichTerminal()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, terminal.interrupt)
    try:
        yield terminal
    finally:
        loop.remove_signal_handler(signal.SIGINT)

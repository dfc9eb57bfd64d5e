"""Somebody at the program: waits for each question, answers it, and reads what came back; at a pipe or at a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import define

LIMIT = 30.0
MORE = "-Press Any Key For More-"
"""of the pager; one blank shows the next page, and the line goes without a trace (conventions.md 11)"""
ERASED = f"\r{' ' * len(MORE)}\r"


@define
class Operator:
    process: subprocess.Popen[bytes]
    keyboard: int
    """file descriptor that is typed at"""
    screen: int
    """file descriptor that is read"""
    shown: str = ""
    """all output so far, line ends as LF"""
    _read: int = 0

    def answer(self, *dialog: tuple[str, str]) -> None:
        """Answer questions in order: (words that the question or its prompt must hold, answer)."""
        for question, text in dialog:
            self.see(question)
            self.type(text)

    def see(self, text: str) -> str:
        """Wait until `text` and then a prompt has come; everything since the last answer."""
        end = time.monotonic() + LIMIT
        while not (text in (new := self.shown[self._read :]) and new.endswith(("> ", ": "))):
            self._more(end, f"{text!r}, then a prompt")
        return new

    def type(self, text: str) -> None:
        """A line, or several."""
        self._read = len(self.shown)
        os.write(self.keyboard, f"{text}\n".encode())

    def paste(self, question: str, text: str) -> None:
        """PEM text and the dot that ends it."""
        self.see_unprompted(question)
        self.type(f"{text.strip()}\n.")

    def see_unprompted(self, text: str) -> None:
        """Wait for a text behind which no prompt comes."""
        end = time.monotonic() + LIMIT
        while text not in self.shown[self._read :]:
            self._more(end, repr(text))

    def finish(self) -> int:
        """No more input; the status at the end."""
        if self.keyboard != self.screen:
            os.close(self.keyboard)
        while self._piece(LIMIT):
            pass
        return self.process.wait(LIMIT)

    def _more(self, end: float, awaited: str) -> None:
        if not self._piece(max(0.0, end - time.monotonic())):
            raise AssertionError(f"waiting for {awaited}:\n{self.shown[-2000:]}")

    def _piece(self, limit: float) -> bool:
        if not select.select([self.screen], [], [], limit)[0]:
            return False
        try:
            piece = os.read(self.screen, 65536)
        except OSError:  # Linux says so when the other side of a pseudo-terminal is closed
            return False
        self.shown = (self.shown + re.sub("\r+\n", "\n", piece.decode())).replace(ERASED, "")
        if self.shown.endswith(MORE):
            self.shown = self.shown.removesuffix(MORE)
            os.write(self.keyboard, b" ")
        return bool(piece)


@contextmanager
def operator(command: Sequence[str], env: Mapping[str, str], *, terminal: bool) -> Iterator[Operator]:
    """Start `command` and sit down at it; `terminal`: at a pseudo-terminal, else at two pipes."""
    if terminal:
        screen, other = pty.openpty()
        settings = termios.tcgetattr(other)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(other, termios.TCSANOW, settings)
        process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=dict(env), start_new_session=True)
        os.close(other)
        person = Operator(process, screen, screen)
    else:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(env), bufsize=0
        )
        assert process.stdin is not None and process.stdout is not None
        person = Operator(process, os.dup(process.stdin.fileno()), process.stdout.fileno())
        process.stdin.close()
    try:
        yield person
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(LIMIT)
        os.close(person.screen) if terminal else process.stdout.close()  # type: ignore[union-attr]

"""A terminal made of octets: what arrives becomes lines, what is written becomes octets (conventions.md 1, 8, 14).

The ways in differ only in the `Wire` below. With echo the keys go through the line editor, without it lines are cut
out of the stream: CR, LF and CR LF each end one line exactly once.

Input waits in a buffer until a question reads it; a line that was typed ahead is echoed when its question reads it, so
the same input gives the same output at any speed. More than 1 MiB of it stops reading from the wire. Output waits for
the wire before the next question is asked; a client that never reads loses its session when too much has piled up.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define, field

from asyncos_shell.terminals.editor import CTRL_C, LONGEST_LINE, Entered, Event, Interruption, LineEditor
from commands.dialog import EndOfInput, Interrupted

TYPE_AHEAD = 2 * 1024 * 1024
"""characters of input that are kept before the wire is told to wait"""
DEFAULT_ROWS = 24
"""of a screen that does not say how high it is"""
SLOW = 256 * 1024
"""octets of output that may wait for the client when the next question is asked"""
LOST = 64 * 1024 * 1024
"""octets of output with which a client is given up"""
LOOK_AGAIN = 0.02
"""seconds between two looks at a slow client"""
_END = re.compile(r"[\r\n\x03]")


class Wire(Protocol):
    """What carries the octets of a terminal."""

    def send(self, data: bytes) -> None:
        """Send, never wait."""

    def unsent(self) -> int:
        """Octets that have not left yet."""

    def hold(self, held: bool) -> None:
        """Stop or go on reading input."""

    def cut(self) -> None:
        """Give the client up."""


@define(eq=False)
class LineTerminal:
    """Terminal of `commands.dialog`. `echo`: keys are edited and shown. `crlf`: output lines end in CR LF."""

    wire: Wire
    keyboard: bool = False
    echo: bool = False
    crlf: bool = False
    editor: LineEditor = field(factory=LineEditor)
    on_interrupt: Callable[[], None] | None = None
    """called for a Ctrl-C that no question waits for"""
    on_input: Callable[[], None] | None = None
    """called for all input that arrives"""
    line_ends: int = 2
    """line ends since the last other output; 2 = below a blank line, or nothing was written yet"""
    rows: int = 0
    """height of the screen, 0 = unknown"""
    paging: bool = True
    _decoder: codecs.IncrementalDecoder = field(factory=lambda: codecs.getincrementaldecoder("utf-8")("surrogateescape"))
    _input: str = ""
    _position: int = 0
    _held: bool = False
    _ended: bool = False
    _reading: bool = False
    _more: asyncio.Event = field(factory=asyncio.Event)
    _interrupted: bool = False
    _line: list[str] = field(factory=list)
    """the line so far, without echo"""
    _size: int = 0
    _after_cr: bool = False
    _output: list[str] = field(factory=list)
    _flushing: bool = False

    @property
    def page_rows(self) -> int:
        return (self.rows or DEFAULT_ROWS) if self.paging and self.keyboard and self.echo else 0

    # -- from the wire --------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Octets have arrived."""
        if self.on_input:
            self.on_input()
        text = self._decoder.decode(data)
        waiting = self._input[self._position :]
        self._position = 0
        if not self._reading and self.on_interrupt and CTRL_C in text and (not waiting or CTRL_C in waiting):
            # Nothing that was typed before it waits for a question: it is meant for the command that runs.
            text = text.rpartition(CTRL_C)[2]
            waiting = ""
            self._stop_command()
        self._input = waiting + text
        self._hold()
        self._more.set()

    def ended(self) -> None:
        """No more input will come."""
        self._input = self._input[self._position :] + self._decoder.decode(b"", True)
        self._position = 0
        self._ended = True
        self._more.set()

    def interrupt(self) -> None:
        """A signal in place of Ctrl-C: at once, whatever was typed before it."""
        if self._reading:
            self._interrupted = True
            self._more.set()
        elif self.on_interrupt:
            self._stop_command()

    def _stop_command(self) -> None:
        if not self.line_ends:
            self.write("\n")
        self.write("^C\n")
        if self.on_interrupt:
            self.on_interrupt()

    def _hold(self) -> None:
        waiting = len(self._input) - self._position
        held = waiting > (TYPE_AHEAD // 2 if self._held else TYPE_AHEAD)
        if held != self._held:
            self._held = held
            self.wire.hold(held)

    # -- to the operator ------------------------------------------------------------------------------------------

    def write(self, text: str) -> None:
        if not text:
            return
        self._output.append(text)
        ends = len(text) - len(text.rstrip("\n"))
        self.line_ends = min(2, ends if ends < len(text) else self.line_ends + ends)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Hand over everything that was written."""
        self._flushing = False
        if not self._output:
            return
        text = "".join(self._output)
        self._output.clear()
        if self.crlf:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        self.wire.send(text.encode("utf-8", "replace"))
        if self.wire.unsent() > LOST:
            self.wire.cut()

    async def drained(self) -> None:
        """Wait until the client has taken most of what was written."""
        self.flush()
        while self.wire.unsent() > SLOW:
            await asyncio.sleep(LOOK_AGAIN)

    # -- lines ----------------------------------------------------------------------------------------------------

    async def read_line(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), history: bool = False) -> str:
        self.write(prompt)
        await self.drained()
        if self.echo:
            self.editor.begin(prompt.rpartition("\n")[2], hidden=hidden, words=words, command=history)
        self._reading = True
        try:
            while True:
                event = self._take()
                self._show_echo()
                if event is not None:
                    return self._result(event)
                if self._interrupted:
                    self._drop_input()
                    self.write("^C\n")
                    raise Interrupted
                if self._ended:
                    return self._last_line()
                self._more.clear()
                self.flush()
                await self._more.wait()
        finally:
            self._reading = False
            self._interrupted = False

    async def read_key(self) -> None:
        await self.drained()
        self._reading = True
        try:
            while True:
                self._position, char = self.editor.key(self._input, self._position)
                self._hold()
                if char == CTRL_C or self._interrupted:
                    raise Interrupted
                if char:
                    return
                if self._ended:
                    raise EndOfInput
                self._more.clear()
                await self._more.wait()
        finally:
            self._reading = False
            self._interrupted = False

    def _take(self) -> Event | None:
        if self.echo:
            self._position, event = self.editor.feed(self._input, self._position)
        else:
            event = self._cut()
        self._hold()
        return event

    def _result(self, event: Event) -> str:
        match event:
            case Entered(text):
                return text
            case Interruption():
                raise Interrupted
        raise EndOfInput

    def _show_echo(self) -> None:
        self.write("".join(self.editor.output))
        self.editor.output.clear()

    def _last_line(self) -> str:
        """What was typed before the input ended counts as a line."""
        line = self.editor.give_up() if self.echo else self._whole()
        self._input, self._position = "", 0
        if line or not self.line_ends:
            self.write("\n")
        if not line:
            raise EndOfInput
        return line

    def _drop_input(self) -> None:
        self.editor.give_up()
        self._whole()
        self._input, self._position = "", 0
        self._hold()

    def _cut(self) -> Event | None:
        """The next line of a stream, or the Ctrl-C in it."""
        if self._after_cr and self._position < len(self._input):
            self._after_cr = False
            self._position += self._input[self._position] == "\n"
        found = _END.search(self._input, self._position)
        piece = self._input[self._position : found.start() if found else len(self._input)]
        self._position += len(piece) + (found is not None)
        piece = piece[: LONGEST_LINE - self._size]
        self._line.append(piece)
        self._size += len(piece)
        if found is None:
            return None
        if found.group() == CTRL_C:
            self._whole()
            self.write("^C\n")
            return Interruption()
        self._after_cr = found.group() == "\r"
        self.write("\n")
        return Entered(self._whole())

    def _whole(self) -> str:
        line = "".join(self._line).replace("\t", " ")
        self._line.clear()
        self._size = 0
        return line

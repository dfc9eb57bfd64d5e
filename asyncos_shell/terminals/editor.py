"""Editing of one line with echo, for every terminal whose keys arrive here one by one (conventions.md 9, 14).

Sans-io: `feed` takes the characters that were typed, `output` collects what is to be shown, with LF as line end.
Ordinary typing, Backspace included, is answered by the characters themselves, blanks and backspaces only: no ESC, BEL
or NUL. Escape sequences appear only when a cursor key moves to another row of a line that is wider than the screen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

LONGEST_LINE = 1024 * 1024
"""characters of a line that are kept; more are dropped"""
HISTORY = 200
DEFAULT_COLUMNS = 80
CTRL_C = "\x03"
CTRL_D = "\x04"
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\[O\x00-\x1f])")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")


@frozen
class Entered:
    """Enter was pressed."""

    text: str


@frozen
class Interruption:
    """Ctrl-C was pressed; the line is dropped."""


@frozen
class End:
    """Ctrl-D was pressed on an empty line."""


Event = Entered | Interruption | End


def moves_up(term: str) -> bool:
    """Whether a screen of type `term` understands the ANSI cursor movements."""
    return term.lower() not in ("", "dumb", "unknown", "network")


def cells(text: str) -> int:
    """Columns that `text` takes on a screen."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@define(eq=False)
class LineEditor:
    """`columns`: width of the screen, 0 = unknown. `moves_up`: the screen understands the ANSI cursor movements."""

    columns: int = DEFAULT_COLUMNS
    moves_up: bool = False
    history: list[str] = field(factory=list)
    output: list[str] = field(factory=list)
    _prompt: str = ""
    _echo: bool = True
    _words: Sequence[str] = ()
    _command: bool = False
    _before: list[str] = field(factory=list)
    _after: list[str] = field(factory=list)
    """what stands behind the cursor, last character first"""
    _cell: int = 0
    """column of the cursor, counted from the start of the row in which the prompt begins"""
    _killed: str = ""
    _recalled: int = 0
    _typed: str = ""
    _after_cr: bool = False

    def begin(self, prompt: str, *, hidden: bool = False, words: Sequence[str] = (), command: bool = False) -> None:
        """Start a line behind `prompt`, which is written already. `command`: it recalls and enters the history."""
        self._prompt = prompt
        self._echo = not hidden
        self._words = words
        self._command = command
        self._clear()
        self._cell = cells(prompt)

    def key(self, text: str, start: int) -> tuple[int, str]:
        """One character that is no part of a line: (position behind it, the character or ""). CR LF counts once."""
        if self._after_cr and text[start : start + 1] == "\n":
            self._after_cr = False
            start += 1
        char = text[start : start + 1]
        if char:
            self._after_cr = char == "\r"
        return start + len(char), char

    def feed(self, text: str, start: int = 0) -> tuple[int, Event | None]:
        """Take characters from `start` on until an event; (position behind the last one taken, event).

        The start of an escape sequence whose rest has not come is left untaken.
        """
        position = start
        while position < len(text):
            if run := _PRINTABLE.match(text, position):
                self._after_cr = False
                self._insert(run.group())
                position = run.end()
                continue
            char = text[position]
            if char == "\x1b":
                self._after_cr = False
                if sequence := _SEQUENCE.match(text, position):
                    self._press(_KEYS.get(sequence.group()))
                    position = sequence.end()
                    continue
                broken = _UNFINISHED.match(text, position)
                assert broken is not None
                if broken.end() == len(text):
                    return position, None
                position = broken.end()
                continue
            position += 1
            if char == "\n" and self._after_cr:
                self._after_cr = False
                continue
            self._after_cr = char == "\r"
            if char in "\r\n":
                return position, self._enter()
            if char == CTRL_C:
                self._show("^C\n")
                self._clear()
                return position, Interruption()
            if char == CTRL_D and not self._before and not self._after:
                self._show("\n")
                return position, End()
            self._press(_KEYS.get(char))
        return position, None

    @property
    def line(self) -> str:
        return "".join(self._before) + "".join(reversed(self._after))

    def give_up(self) -> str:
        """The characters of an unfinished line; it is empty afterwards."""
        line = self.line
        self._clear()
        return line

    # -- screen ---------------------------------------------------------------------------------------------------

    @property
    def _width(self) -> int:
        return self.columns or DEFAULT_COLUMNS

    def _show(self, text: str) -> None:
        """Output that does not depend on echo."""
        self.output.append(text)

    def _print(self, text: str) -> None:
        if not text or not self._echo:
            return
        self.output.append(text)
        self._cell += cells(text)
        if self._cell % self._width == 0:
            # A screen waits behind its last column: a blank takes it to the next row, where the line goes on.
            self.output.append(" \b")

    def _left(self, count: int) -> None:
        """Move the cursor `count` columns back."""
        if not count or not self._echo:
            return
        target = self._cell - count
        rows = self._cell // self._width - target // self._width
        if rows and self.moves_up:
            columns = target % self._width - self._cell % self._width
            self.output.append(f"\x1b[{rows}A" + (f"\x1b[{columns}C" if columns > 0 else "\b" * -columns))
        else:
            self.output.append("\b" * count)
        self._cell = target

    def _redraw(self) -> None:
        """Prompt and line again, on a new row."""
        self._show(f"\n{self._prompt}")
        self._cell = cells(self._prompt)
        tail = self._tail()
        self._print("".join(self._before) + tail)
        self._left(cells(tail))

    def _tail(self) -> str:
        return "".join(reversed(self._after))

    def _erase_behind(self, count: int) -> None:
        """The text behind the cursor again, and `count` blanks where it was longer before."""
        tail = self._tail() + " " * count
        self._print(tail)
        self._left(cells(tail))

    # -- keys -----------------------------------------------------------------------------------------------------

    def _press(self, key: Callable[[LineEditor], None] | None) -> None:
        if key is not None:
            key(self)

    def _clear(self) -> None:
        self._before = []
        self._after = []
        self._recalled = len(self.history)
        self._typed = ""

    def _enter(self) -> Entered:
        self._print(self._tail())
        self._show("\n")
        line = self.line
        if self._command and self._echo and line.strip() and line not in self.history[-1:]:
            self.history.append(line)
            del self.history[:-HISTORY]
        self._clear()
        return Entered(line)

    def _insert(self, text: str) -> None:
        text = text[: max(0, LONGEST_LINE - len(self._before) - len(self._after))]
        self._before.extend(text)
        self._print(text)
        if self._after:
            self._erase_behind(0)

    def backspace(self) -> None:
        if not self._before:
            return
        gone = cells(self._before.pop())
        if self._cell % self._width >= gone or self._after or not self._echo:
            self._left(gone)
            self._erase_behind(gone)
        else:
            self._redraw()

    def delete(self) -> None:
        if self._after:
            self._erase_behind(cells(self._after.pop()))

    def left(self) -> None:
        if self._before:
            char = self._before.pop()
            self._after.append(char)
            self._left(cells(char))

    def right(self) -> None:
        if self._after:
            char = self._after.pop()
            self._before.append(char)
            self._print(char)

    def home(self) -> None:
        self._left(cells("".join(self._before)))
        self._after.extend(reversed(self._before))
        self._before = []

    def end(self) -> None:
        self._print(self._tail())
        self._before.extend(reversed(self._after))
        self._after = []

    def kill_rest(self) -> None:
        self._kill(self._tail())
        self._after = []
        self._erase_behind(cells(self._killed))

    def kill_start(self) -> None:
        self._kill_before(0)

    def kill_word(self) -> None:
        position = len(self._before)
        while position and self._before[position - 1] == " ":
            position -= 1
        while position and self._before[position - 1] != " ":
            position -= 1
        self._kill_before(position)

    def yank(self) -> None:
        self._insert(self._killed)

    def _kill_before(self, position: int) -> None:
        self._kill("".join(self._before[position:]))
        del self._before[position:]
        gone = cells(self._killed)
        self._left(gone)
        self._erase_behind(gone)

    def _kill(self, text: str) -> None:
        # What is typed at a hidden question must not come back anywhere.
        self._killed = text if self._echo else ""

    def older(self) -> None:
        if self._command and self._recalled > 0:
            if self._recalled == len(self.history):
                self._typed = self.line
            self._recall(self._recalled - 1)

    def newer(self) -> None:
        if self._command and self._recalled < len(self.history):
            self._recall(self._recalled + 1)

    def _recall(self, number: int) -> None:
        before = cells(self.line)
        self.home()
        self._recalled = number
        self._after = list(reversed(self.history[number] if number < len(self.history) else self._typed))
        self._erase_behind(max(0, before - cells(self._tail())))
        self.end()

    def complete(self) -> None:
        """The one candidate that begins with what stands before the cursor, or a list of all that do."""
        typed = "".join(self._before)
        start = (typed.rpartition(";")[2] if self._command else typed).lstrip()
        found = [word for word in self._words if word.lower().startswith(start.lower())] if self._echo else []
        if len(found) == 1:
            rest = found[0][len(start) :]
            self._insert((rest.lower() if start.islower() else rest) + " ")
        elif found:
            self._show("\n" + ", ".join(found))
            self._redraw()


_KEYS: dict[str, Callable[[LineEditor], None]] = {
    "\x01": LineEditor.home,
    "\x02": LineEditor.left,
    CTRL_D: LineEditor.delete,
    "\x05": LineEditor.end,
    "\x06": LineEditor.right,
    "\x08": LineEditor.backspace,
    "\t": LineEditor.complete,
    "\x0b": LineEditor.kill_rest,
    "\x0e": LineEditor.newer,
    "\x10": LineEditor.older,
    "\x15": LineEditor.kill_start,
    "\x17": LineEditor.kill_word,
    "\x19": LineEditor.yank,
    "\x7f": LineEditor.backspace,
    **{
        f"\x1b{introducer}{final}": key
        for introducer in "[O"
        for final, key in {
            "A": LineEditor.older,
            "B": LineEditor.newer,
            "C": LineEditor.right,
            "D": LineEditor.left,
            "H": LineEditor.home,
            "F": LineEditor.end,
        }.items()
    },
    "\x1b[1~": LineEditor.home,
    "\x1b[7~": LineEditor.home,
    "\x1b[4~": LineEditor.end,
    "\x1b[8~": LineEditor.end,
    "\x1b[3~": LineEditor.delete,
}

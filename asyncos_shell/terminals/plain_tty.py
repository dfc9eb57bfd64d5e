"""The local terminal as a stream of keys: the same bytes as an SSH session shows (labs-and-ci.md 2, `--ui plain`)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from asyncos_shell.keys import keys, screen_size
from asyncos_shell.terminals.editor import LineEditor, moves_up
from asyncos_shell.terminals.stream import StreamTerminal


@contextmanager
def plain_terminal(source: int, sink: int, *, keyboard: bool) -> Iterator[StreamTerminal]:
    """A terminal on a local tty. `keyboard` False: it only answers the questions of a line given with `-c`."""
    columns, rows = screen_size(source)
    editor = LineEditor(columns=columns, moves_up=moves_up(os.environ.get("TERM", "")))
    loop = asyncio.get_running_loop()
    with keys(source):
        terminal = StreamTerminal(source, sink, keyboard=keyboard, echo=True, editor=editor, rows=rows)

        def resized() -> None:
            editor.columns, terminal.rows = screen_size(source)

        loop.add_signal_handler(signal.SIGWINCH, resized)
        try:
            yield terminal
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)

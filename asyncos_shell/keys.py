"""The local tty as a source of single keys."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keys(descriptor: int) -> Iterator[None]:
    """Deliver every key at once, without echo and without signals; output still ends its lines in CR LF."""
    before = termios.tcgetattr(descriptor)
    raw = termios.tcgetattr(descriptor)
    raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP)
    raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSADRAIN, raw)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def screen_size(descriptor: int) -> tuple[int, int]:
    """(columns, rows) of the screen, 0 = unknown."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return size.columns, size.lines

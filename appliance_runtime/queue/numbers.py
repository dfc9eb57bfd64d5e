"""MID, ICID and DCID: count from 1, never repeat, survive every end of the process (logs-and-alerts.md 1).

The next numbers stand in a small file that is mapped into memory, so giving one costs no system call and `kill -9` loses
none. A sudden stop of the machine may lose what was not yet written to disk; therefore numbers are reserved in blocks in
the queue's database, ahead of their use, and after such a stop (another boot id) counting goes on behind the block.
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Callable
from pathlib import Path

NAMES = ("mid", "icid", "dcid")
BLOCK = 20_000
"""numbers reserved in one step; the next block is asked for when half of it is used"""
LAYOUT = 1
SIZE = 8 * 8


class Numbers:
    """The three series."""

    def __init__(self, path: Path, reserved: dict[str, int], boot: uuid.UUID | None) -> None:
        """`reserved`: numbers from which on the database knows of none in use; `boot`: identity of this run of the machine.

        Errors: OSError.
        """
        self.reserve: Callable[[dict[str, int]], None] | None = None
        """asked to make further reservations durable, soon"""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size != SIZE:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, bytes(SIZE))
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._cells = memoryview(self._map).cast("Q")
        known = self._cells[0] == LAYOUT
        same_run = known and boot is not None and (self._cells[1], self._cells[2]) == _halves(boot)
        self.reserved: dict[str, int] = {}
        for cell, name in enumerate(NAMES, start=3):
            bound = reserved.get(name)
            if bound is None:  # the database was lost: the file is the only witness
                value = self._cells[cell] + (0 if same_run else BLOCK) if known and self._cells[cell] else 1
            else:
                value = self._cells[cell] if same_run and self._cells[cell] else bound
            self._cells[cell] = value
            self.reserved[name] = value + BLOCK
        self._cells[0] = LAYOUT
        self._cells[1], self._cells[2] = _halves(boot) if boot else (0, 0)

    def next(self, name: str) -> int:
        """Give a number."""
        cell = 3 + NAMES.index(name)
        number = self._cells[cell]
        self._cells[cell] = number + 1
        if number + BLOCK // 2 > self.reserved[name]:
            self.reserved[name] += BLOCK
            if self.reserve is not None:
                self.reserve({name: self.reserved[name]})
        return number

    def coming(self) -> dict[str, int]:
        """The numbers that will be given next."""
        return {name: self._cells[cell] for cell, name in enumerate(NAMES, start=3)}

    def raise_to(self, name: str, number: int) -> None:
        """Never give a number below `number`."""
        cell = 3 + NAMES.index(name)
        if self._cells[cell] < number:
            self._cells[cell] = number
            self.reserved[name] = max(self.reserved[name], number + BLOCK)

    def close(self) -> None:
        self._cells.release()
        self._map.close()


def boot_id() -> uuid.UUID | None:
    """Identity of this run of the machine; None where the system has none."""
    try:
        return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    except (OSError, ValueError):
        return None


def _halves(boot: uuid.UUID) -> tuple[int, int]:
    return boot.int >> 64, boot.int & (1 << 64) - 1

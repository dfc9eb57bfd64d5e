"""Files that hold the bodies of many messages each: written ahead of their use, and used again (performance.md rule 2).

A body of 16 to 96 KiB stands in a segment of 2 MiB, from a multiple of 4096 on, so that no block of a stored message is
ever written again. Overwriting blocks that the file has already needs no entry in the file system's journal, which makes
syncing them several times faster; therefore a thread fills segments with zeros ahead of their use, and segments whose
messages are all gone are used again. Without one at hand a new file does, only slower.
`place` and `free` may be called from any thread, `write` and `sync` from one at a time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from appliance_runtime.state_directory import sync_directory

SEGMENT_SIZE = 2 * 1024**2
"""octets"""
BLOCK = 4096
AHEAD = 8
"""segments that wait for use"""
LEAST = 16 * 1024
"""a smaller body stands in the database"""

_ZEROS = bytes(SEGMENT_SIZE)


@frozen
class Place:
    """Where a body stands: name of the segment, first octet."""

    segment: str
    offset: int


class Segments:
    """The segments of one queue."""

    def __init__(self, directory: Path) -> None:
        """Segments that are there already are left alone until `adopted`. Errors: OSError."""
        self._directory = directory
        self._lock = threading.Lock()
        self._bodies: Counter[str] = Counter()
        self._old = {path.name for path in directory.iterdir()}
        """segments of earlier runs whose bodies are not all known yet"""
        self._waiting: deque[str] = deque()
        self._current = ""
        self._at = SEGMENT_SIZE
        self._files: dict[str, int] = {}
        """open for writing"""
        self._written: list[str] = []
        self._new: set[str] = set()
        """those whose entries in the directory are not durable yet"""
        self._low = threading.Event()
        self._closing = False
        self._supplier: threading.Thread | None = None

    def adopt(self, place: Place) -> None:
        """A stored body of an earlier run stands there."""
        with self._lock:
            self._bodies[place.segment] += 1

    def adopted(self) -> None:
        """Every stored body is known: remove the segments of earlier runs that have none."""
        with self._lock:
            old, self._old = self._old, set()
            empty = [segment for segment in old if not self._bodies[segment]]
            for segment in empty:
                del self._bodies[segment]
        for segment in empty:
            (self._directory / segment).unlink(missing_ok=True)

    def place(self, size: int) -> Place:
        """Room for a body of `size` octets; to be given back with `free`."""
        room = -(-size // BLOCK) * BLOCK
        with self._lock:
            if self._at + room > SEGMENT_SIZE:
                self._take_next()
            place = Place(self._current, self._at)
            self._at += room
            self._bodies[self._current] += 1
        return place

    def _take_next(self) -> None:
        finished, self._current = self._current, self._waiting.popleft() if self._waiting else secrets.token_hex(12)
        self._at = 0
        if finished and not self._bodies[finished]:
            self._put_away(finished)
        if len(self._waiting) < AHEAD:
            if self._supplier is None:
                self._supplier = threading.Thread(target=self._supply, name="segments", daemon=True)
                self._supplier.start()
            self._low.set()

    def free(self, place: Place) -> None:
        """The body is wanted no more."""
        with self._lock:
            self._bodies[place.segment] -= 1
            if not self._bodies[place.segment] and place.segment != self._current:
                self._put_away(place.segment)

    def _put_away(self, segment: str) -> None:
        if segment in self._old:
            return
        del self._bodies[segment]
        if len(self._waiting) < 2 * AHEAD:
            self._waiting.append(segment)
        else:
            with contextlib.suppress(OSError):  # what stays is removed at the next start
                (self._directory / segment).unlink()

    def write(self, segment: str, bodies: Sequence[tuple[int, bytes]]) -> None:
        """Write bodies (offset, octets; ascending) into a segment; they are durable after `sync`. Errors: OSError."""
        descriptor = self._open(segment)
        pieces: list[bytes] = []
        first = at = bodies[0][0]
        for offset, octets in bodies:
            pieces += (_ZEROS[: offset - at], octets) if offset > at else (octets,)
            at = offset + len(octets)
        self._written.append(segment)
        _write_all(descriptor, pieces, first)

    def sync(self) -> dict[str, OSError]:
        """Make durable what was written since the last call; the segments of which that failed.

        What could not be synced may be taken for written by the system: its descriptor is never asked again.
        """
        failed: dict[str, OSError] = {}
        written, self._written = self._written, []
        for segment in written:
            descriptor = self._files[segment]
            try:
                os.fdatasync(descriptor)
                if segment in self._new:
                    sync_directory(self._directory)
                    self._new.discard(segment)
            except OSError as error:
                failed[segment] = error
            if segment in failed or segment != written[-1]:
                os.close(self._files.pop(segment))
        return failed

    def _open(self, segment: str) -> int:
        if segment not in self._files:
            if not self._written:
                self._let_go()
            descriptor = os.open(self._directory / segment, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._files[segment] = descriptor
            if not os.fstat(descriptor).st_size:
                self._new.add(segment)
        return self._files[segment]

    def _let_go(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def close(self) -> None:
        """Nothing is written any more. Blocks for as long as a segment is being prepared."""
        self._closing = True
        self._low.set()
        if self._supplier is not None:
            self._supplier.join()
        self._let_go()

    # the thread that prepares segments

    def _supply(self) -> None:
        while not self._closing:
            self._low.wait()
            self._low.clear()
            # Without room there are none ahead, and writing the next body will tell.
            with contextlib.suppress(OSError):
                while (missing := AHEAD - len(self._waiting)) > 0 and not self._closing:
                    self._prepare(missing)

    def _prepare(self, count: int) -> None:
        names = [secrets.token_hex(12) for _ in range(count)]
        try:
            for name in names:
                descriptor = os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    _write_all(descriptor, [_ZEROS], 0)
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)
            sync_directory(self._directory)
        except OSError:
            for name in names:
                (self._directory / name).unlink(missing_ok=True)
            raise
        with self._lock:
            self._waiting.extend(names)


def read(directory: Path, place: Place, size: int) -> bytes:
    """The octets at a place. Errors: OSError."""
    descriptor = os.open(directory / place.segment, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, size, place.offset)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, pieces: Sequence[bytes], at: int) -> None:
    done = os.pwritev(descriptor, pieces, at)
    if done < sum(map(len, pieces)):  # the next attempt says why
        rest = memoryview(b"".join(pieces))[done:]
        while rest:
            count = os.pwrite(descriptor, rest, at + done)
            rest, done = rest[count:], done + count

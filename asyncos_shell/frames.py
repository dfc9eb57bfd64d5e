"""Frames on the private socket between a local session and the running appliance.

A frame is one letter, the length of its content as four octets, and the content. From the client: `H` the greeting
(JSON: keyboard, echo, line, columns, term), then `i` input, `e` its end, `w` the width of the screen, `c` Ctrl-C as a
signal. From the appliance: `o` output, `s` the exit status, after which it closes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = struct.Struct(">cI")
LARGEST = 1024 * 1024
HELLO, INPUT, END, SIZE, INTERRUPT, OUTPUT, STATUS = b"H", b"i", b"e", b"w", b"c", b"o", b"s"


def frame(kind: bytes, content: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(content)) + content


class Frames:
    """Puts frames together again. Errors: ValueError for one that is too long."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are complete now: (kind, content)."""
        self._waiting += data
        while len(self._waiting) >= HEADER.size:
            kind, size = HEADER.unpack_from(self._waiting)
            if size > LARGEST:
                raise ValueError("frame too long")
            if len(self._waiting) < HEADER.size + size:
                return
            content = bytes(self._waiting[HEADER.size : HEADER.size + size])
            del self._waiting[: HEADER.size + size]
            yield kind, content

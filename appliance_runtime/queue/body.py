"""The octets of one message while they arrive: in memory up to 96 KiB, then in a file of the spool directory.

Wire form without dot-stuffing, CRLF line ends. A write never raises: what goes wrong is kept in `error` and refused by
`MessageQueue.accept`, so that the receiving side can read the rest of the message. The file is synced by the queue's writer.
"""

from __future__ import annotations

import os
import secrets
import zlib
from io import IncrementalNewlineDecoder
from pathlib import Path

MEMORY_LIMIT = 96 * 1024
"""octets; with what a read may bring, the header and the objects around them a connection stays below 256 KiB"""
MANY_CHUNKS = 64
"""chunks in memory; a client that sends octet by octet must not cost an object for each"""


class Body:
    """Made by `MessageQueue.new_body`, or in a process that receives for it; belongs to the caller until it is handed to `accept`, or ended by `discard`."""

    def __init__(self, spool_directory: Path) -> None:
        self.size = 0
        self.checksum = 0
        self.error: OSError | None = None
        self.spool: Path | None = None
        self.verbatim = False
        """set by whoever knows: the octets may be sent as they are, every line ends in CRLF and none begins with a dot"""
        self._directory = spool_directory
        self._chunks: list[bytes] = []
        self._descriptor: int | None = None

    @classmethod
    def received(cls, spool_directory: Path, octets: bytes, spool: str | None, *, size: int, checksum: int) -> Body:
        """One that another process has written, and let go of with `part`. `spool`: its file, if it has one."""
        body = cls(spool_directory)
        body.size, body.checksum = size, checksum
        if spool is None:
            body._chunks = [octets]
        else:
            body.spool = spool_directory / spool
            try:
                body._descriptor = os.open(body.spool, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except OSError as error:
                body.error = error
        return body

    def part(self) -> tuple[bytes, str | None]:
        """Let go of it: its octets, or the name of its file. What `received` needs in another process."""
        if self.spool is None:
            return self.octets(), None
        self._close()
        return b"", self.spool.name

    def write(self, octets: bytes) -> None:
        self.size += len(octets)
        if self.error is not None:
            return
        self.checksum = zlib.crc32(octets, self.checksum)
        if self._descriptor is None and self.size <= MEMORY_LIMIT:
            self._chunks.append(octets)
            if len(self._chunks) > MANY_CHUNKS:
                self._chunks = [b"".join(self._chunks)]
            return
        try:
            if self._descriptor is None:
                self._spill()
            self._write_out(octets)
        except OSError as error:
            self.error = error

    def octets(self) -> bytes:
        """The whole body while it is in memory."""
        if len(self._chunks) != 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0]

    def sync(self) -> None:
        """Make the file durable and close it; a body in memory has nothing to do. Errors: OSError."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            self._close()

    def discard(self) -> None:
        """Throw the body away."""
        self._chunks = []
        self._close()
        if self.spool is not None:
            self.spool.unlink(missing_ok=True)

    def _spill(self) -> None:
        self.spool = self._directory / secrets.token_hex(12)
        self._descriptor = os.open(self.spool, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            self._write_out(chunk)

    def _write_out(self, octets: bytes) -> None:
        assert self._descriptor is not None
        view = memoryview(octets)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_verbatim(octets: bytes) -> bool:
    """Whether they may be sent as they are: see `Body.verbatim`."""
    whole = has_pairs_only(octets) and (not octets or octets.endswith(b"\r\n"))
    return whole and not octets.startswith(b".") and b"\n." not in octets


def has_pairs_only(octets: bytes) -> bool:
    """Whether no CR and no LF stands alone. What `open` uses for text files tells it in a fifth of the time of counting."""
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(octets.decode("latin-1"), final=True)
    return decoder.newlines is None or decoder.newlines == "\r\n"

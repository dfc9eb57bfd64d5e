"""Replies of a server, from octets in any cut (RFC 5321 4.2; delivery.md 3, item 6). Sans-io.

A reply ends with the first line whose code is not followed by a hyphen; its code is that of its last line. A line that is
none of a reply, more than 100 lines, or 64 KiB end everything: what comes behind has no meaning any more.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from appliance_runtime.logs.escaping import escape

MAX_LINES = 100
MAX_OCTETS = 65536
TOO_LONG = "reply too long"
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_SIMPLE = re.compile(rb"([2-5][0-9][0-9]) ([^\r\n]{0,1000})\r\n")
"""one line, as almost every reply to a command is"""
_SEVERAL = re.compile(rb"(?:[2-5][0-9][0-9]-[^\r\n]{0,1000}\r\n){1,20}([2-5][0-9][0-9]) [^\r\n]{0,1000}\r\n")
"""as almost every reply to EHLO"""


class NoReply(Exception):
    """What has come is no reply. The text is that of `details:` in the log."""


class Reply(NamedTuple):
    """A reply; `lines` are without code."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """`454 4.7.0 TLS not available`; several lines joined by `; `."""
        return "; ".join(f"{self.code} {line}".rstrip() for line in self.lines)

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300


def simple(octets: bytes) -> Reply | None:
    """A reply that has come as a whole, all of its lines as one expects them; None = it is another one, or not all of it."""
    match = _SIMPLE.fullmatch(octets)
    if match is not None:
        return Reply(int(match[1]), (match[2].decode("utf-8", "surrogateescape"),))
    match = _SEVERAL.fullmatch(octets)
    if match is None:
        return None
    lines = octets.decode("utf-8", "surrogateescape").split("\r\n")
    return Reply(int(match[1]), tuple([line[4:] for line in lines[:-1]]))


class ReplyReader:
    """Octets in, replies out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._octets = 0
        self.pending = False
        """something has come that was not taken as a reply"""

    def feed(self, octets: bytes) -> None:
        self._buffer += octets
        self.pending = True

    @property
    def flooded(self) -> bool:
        """More waits than any reply may have."""
        return len(self._buffer) > MAX_OCTETS

    def next(self) -> Reply | None:
        """Take one reply off; None = it is not complete. Errors: NoReply."""
        buffer = self._buffer
        while (end := buffer.find(b"\n")) >= 0:
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            self._octets += end + 1
            match = _LINE.fullmatch(line)
            if match is None:
                raise NoReply(f"unexpected response '{escape(line)}'")
            self._lines.append((match[3] or b"").decode("utf-8", "surrogateescape"))
            if len(self._lines) > MAX_LINES or self._octets > MAX_OCTETS:
                raise NoReply(TOO_LONG)
            if match[2] != b"-":
                reply = Reply(int(match[1]), tuple(self._lines))
                self._lines = []
                self._octets = 0
                self.pending = bool(buffer)
                return reply
        if self._octets + len(buffer) > MAX_OCTETS:
            raise NoReply(TOO_LONG)
        return None

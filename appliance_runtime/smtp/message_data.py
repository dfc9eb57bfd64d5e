"""The octets between DATA and the final dot: end of message, dot-stuffing, line ends, limits. Sans-io.

Rules
- Only CR LF `.` CR LF ends a message, whatever stands before or behind it and whatever `clean_smtp` says. The line end of
  the DATA command counts as the first CR LF. The search covers each octet once: at most the last four octets of a read
  are looked at again with the next.
- A dot that begins a line (after CR LF) and is not the end is removed (RFC 5321 4.5.2).
- A CR or LF that is not part of CR LF is bare: `fix` makes it CR LF, `reject` refuses the message, `allow` keeps it.
- The header ends at the first empty line. A message that does not begin with a header field has no header. Up to 64 KiB
  of header are held back until the header is complete; lines and `Received:` fields are counted beyond that as well.
- A message that is refused is read to its end. Of several reasons the first of `Refusal` counts.
Unit of the size: octets after removal of dots and repair of line ends.
"""

from __future__ import annotations

import enum
import re

from attrs import frozen

from appliance_runtime.queue.body import has_pairs_only
from appliance_runtime.smtp import replies
from appliance_state.model.listeners import CleanSmtp

TERMINATOR = b"\r\n.\r\n"
STUFFED = b"\r\n."
LONGEST_HELD_HEADER = 65536
MAX_HOPS = 100

_PREFIXES = tuple((n, TERMINATOR[:n]) for n in (4, 3, 2, 1))
_BARE = re.compile(rb"\r\n|\r|\n")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_RECEIVED = b"\nreceived:"


class Refusal(enum.Enum):
    """Why a message is refused after it was read: reply."""

    SIZE = replies.MESSAGE_TOO_LARGE
    HEADER = replies.HEADER_TOO_LARGE
    HOPS = replies.TOO_MANY_HOPS
    BARE = replies.BARE_LINE_ENDS


@frozen
class Header:
    """The header of the message that begins, before its octets come as Content; cut at 64 KiB.

    `missing`: the message does not begin with a header field, so one that is put before it must bring an empty line along.
    """

    fields: bytes
    missing: bool


@frozen
class Content:
    """Octets of the message as they are kept: without dot-stuffing."""

    data: bytes


class MessageData:
    """Decoder of one message: feed it reads until it gives back what follows the message."""

    def __init__(self, *, clean: CleanSmtp, max_size: int, max_header_lines: int) -> None:
        self._clean = clean
        self._max_size = max_size
        self._max_header_lines = max_header_lines or None
        self._carry = b"\r\n"
        self._skip = 2
        self._bare = False
        self._held: bytearray | None = bytearray()
        self._in_header = True
        self._tail = b"\n"
        self.verbatim = True
        """so far the content is what was sent: no dot was removed, and every line ends in CR LF"""
        self._lines = 0
        self._hops = 0
        self.size = 0

    @property
    def refusal(self) -> Refusal | None:
        """Why the message is refused, as far as it was read."""
        if self.size > self._max_size:
            return Refusal.SIZE
        if self._max_header_lines is not None and self._lines > self._max_header_lines:
            return Refusal.HEADER
        if self._hops > MAX_HOPS:
            return Refusal.HOPS
        return Refusal.BARE if self._bare else None

    def feed(self, data: bytes) -> tuple[list[Header | Content], bytes | None]:
        """What `data` brings, and the octets behind the end of the message; None = the message goes on."""
        buffer = self._carry + data
        # One search for both: a dot that begins a line is stuffed, or ends the message.
        dot = buffer.find(STUFFED)
        end = dot if dot < 0 or buffer.startswith(TERMINATOR, dot) else buffer.find(TERMINATOR, dot + 1)
        rest: bytes | None
        if end >= 0:
            stop, rest = end + 2, buffer[end + 5 :]
        else:
            stop, rest = len(buffer) - _held_back(buffer), None
            self._carry = buffer[stop:]
        if self.size > self._max_size:
            return [], rest
        piece = b""
        if stop:
            begin, self._skip = self._skip, 0
            if dot < 0 or dot + 2 >= stop:
                piece = buffer[begin:stop]
            else:
                self.verbatim = False
                piece = buffer[:stop].replace(STUFFED, b"\r\n")[begin:]
            piece = self._cleaned(piece)
            self.size += len(piece)
        pieces = self._pieces(piece, rest is not None) if self._in_header else _content(piece)
        return ([], rest) if self.refusal else (pieces, rest)

    def _cleaned(self, piece: bytes) -> bytes:
        if self._clean is not CleanSmtp.ALLOW and has_pairs_only(piece):
            return piece
        self.verbatim = False
        if self._clean is CleanSmtp.ALLOW:
            return piece
        if self._clean is CleanSmtp.REJECT:
            self._bare = True
            return piece
        return _BARE.sub(b"\r\n", piece)

    def _pieces(self, piece: bytes, last: bool) -> list[Header | Content]:
        """What a piece of the header gives; the header is over when an empty line or the message ends."""
        if self._held is None:
            self._count(piece)
            return _content(piece)
        known = max(0, len(self._held) - 2)
        if self._held:
            self._held += piece
        text = self._held or piece  # nearly always the whole header comes at once
        end = _EMPTY_LINE.search(text, known)
        if end is None and not last and len(text) <= LONGEST_HELD_HEADER and not text.startswith((b"\r\n", b"\n")):
            self._held = self._held or bytearray(piece)
            return []
        held = bytes(text)
        self._held = None
        missing = _FIELD.match(held) is None
        if missing:
            self._in_header = False
            header = Header(b"", not held.startswith((b"\r\n", b"\n")))
        else:
            header = Header(held[: min(end.start() + 1 if end else len(held), LONGEST_HELD_HEADER)], False)
            self._count(held)
        return [header, *_content(held)]

    def _count(self, piece: bytes) -> None:
        """Count lines and hops up to the end of the header. The tail makes finds over the edge of two pieces possible."""
        text = self._tail + piece
        end = _EMPTY_LINE.search(text)
        if end is not None:
            text = text[: end.start() + 1]
            self._in_header = False
        # The tail's own line ends were counted before; the very first one stands for the beginning of the message.
        self._lines += text.count(b"\n") - self._tail.count(b"\n")
        self._hops += text.lower().count(_RECEIVED)
        self._tail = text[1 - len(_RECEIVED) :]


def _content(piece: bytes) -> list[Header | Content]:
    return [Content(piece)] if piece else []


def _held_back(buffer: bytes) -> int:
    """Length of the end of `buffer` that may be the beginning of the end of the message."""
    if buffer[-1:] in (b"\r", b"\n", b"."):
        for length, prefix in _PREFIXES:
            if buffer.endswith(prefix):
                return length
    return 0

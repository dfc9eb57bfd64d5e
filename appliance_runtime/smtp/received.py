"""What receiving writes in front of a message, and what it reads from a header for the log (listenerconfig.md 11).

`fields` is always the header as octets without the empty line; nothing here trusts that it is well formed.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from attrs import define

LONGEST_HELLO = 255

_NOT_IN_HELLO = re.compile(r"[^!-'*-~]")
_VALUE = re.compile(rb"[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


def received_field(*, hello: str, client: str, host: str, cipher: tuple[str, str] | None, date: str) -> bytes:
    """The Received: field (RFC 5321 4.4). `client`: its address; `cipher`: protocol version and cipher name of the TLS session."""
    name = _NOT_IN_HELLO.sub("?", hello[:LONGEST_HELLO])
    ip = f"IPv6:{client}" if ":" in client else client
    protocol = f"ESMTPS (using {cipher[0]} with cipher {cipher[1]})" if cipher else "ESMTP"
    return f"Received: from {name} ([{ip}]) by {host} with {protocol}; {date}\r\n".encode("ascii", "replace")


def received_date(now: datetime, zone: ZoneInfo) -> str:
    """`Fri, 06 Mar 2026 09:00:00 +0000`, in the appliance's time zone."""
    return format_datetime(now.astimezone(zone).replace(microsecond=0))


@define
class ReceivedDates:
    """`received_date`, made once a second and zone."""

    _second: datetime | None = None
    _zone: ZoneInfo | None = None
    _text: str = ""

    def text(self, now: datetime, zone: ZoneInfo) -> str:
        second = now.replace(microsecond=0)
        if second != self._second or zone is not self._zone:
            self._second, self._zone, self._text = second, zone, received_date(now, zone)
        return self._text


def new_message_id(mid: int, host: str, now: datetime) -> str:
    """Unique, because a MID never repeats on an appliance; the date tells apart appliances that were set back."""
    return f"<{now:%Y%m%d%H%M%S}.{mid}@{host}>"


def message_id(fields: bytes) -> str | None:
    """The value of Message-ID:, in one line."""
    return _value(b"message-id", fields)


def subject(fields: bytes) -> str | None:
    """The value of Subject:, in one line, encoded words (RFC 2047) decoded."""
    text = _value(b"subject", fields)
    if text is None or "=?" not in text:
        return text
    try:
        return "".join(_decoded(part, charset) for part, charset in decode_header(text))
    except (HeaderParseError, ValueError):
        return text


def _value(name: bytes, fields: bytes) -> str | None:
    """The first field of that name (in lower case), in one line. Looking for the name first halves the time, at least."""
    mark = b"\n" + name
    lowered = b"\n" + fields.lower()
    at = lowered.find(mark)  # where the name begins in `fields`, too
    while at >= 0:
        match = _VALUE.match(fields, at + len(name))
        if match is not None:
            return _FOLD.sub(b"", match[1]).strip().decode("utf-8", "surrogateescape")
        at = lowered.find(mark, at + 1)
    return None


def _decoded(part: bytes | str, charset: str | None) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode(charset or "utf-8", "surrogateescape" if charset is None else "replace")
    except LookupError:
        return part.decode("latin-1")

"""Envelopes: what is handed to the queue, what delivery gets, and the octets in which an envelope is stored.

A stored envelope is JSON in ASCII (addresses may hold any octet, kept as "surrogateescape" characters), so that it can be
read without the body and survives every codec. `spool` names the file of a large body, `place` the segment of one
of medium size; without them the body is in the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring_ascii as _quoted
from typing import NamedTuple

from appliance_runtime.queue.body import Body
from appliance_runtime.queue.segments import Place

Settle = Callable[[Exception | None], None]
"""told that something is durable, or why it is not (QueueFull, QueueError)"""

_STORED = (
    '{"mid":%d,"sender":%s,"recipients":[%s],"received":"%s","listener":%s,"bounce_profile":%s,"direction":%s,'
    '"icid":%d,"size":%d,"checksum":%d,"spool":%s,"place":%s,"pause":%d}'
)

# What is made for every message is a named tuple, which takes half the time of a frozen class.


class NewMessage(NamedTuple):
    """A message to be stored. The queue owns `body` from `accept` on, whatever the outcome."""

    mid: int
    sender: str
    """empty for a bounce"""
    recipients: tuple[str, ...]
    """RID = position"""
    body: Body
    received: datetime
    listener: str | None
    """None for a message that was made here"""
    bounce_profile: str
    direction: str
    """inbound or outbound"""
    icid: int


class QueuedRecipient(NamedTuple):
    rid: int
    address: str
    attempts: int
    """failed attempts so far"""
    last_reason: str
    warnings: int = 0
    """delay warnings sent so far"""
    last_warning: datetime | None = None


class QueuedMessage(NamedTuple):
    """A message with those of its recipients that are meant: the due ones of one domain, or all in a listing."""

    mid: int
    sender: str
    received: datetime
    bounce_profile: str
    listener: str | None
    size: int
    recipients: tuple[QueuedRecipient, ...]


class Envelope(NamedTuple):
    """A message without its body, as it is stored."""

    mid: int
    sender: str
    recipients: tuple[str, ...]
    received: datetime
    listener: str | None
    bounce_profile: str
    direction: str
    icid: int
    size: int
    checksum: int
    """CRC-32 of the body"""
    spool: str | None
    place: Place | None = None
    """where a body of medium size is in a segment"""
    pause: int = 0
    """number of the pause of the work queue during which it was received; 0 = none"""

    @classmethod
    def of(cls, message: NewMessage, place: Place | None = None, pause: int = 0) -> Envelope:
        body = message.body
        return cls(
            mid=message.mid,
            sender=message.sender,
            recipients=message.recipients,
            received=message.received,
            listener=message.listener,
            bounce_profile=message.bounce_profile,
            direction=message.direction,
            icid=message.icid,
            size=body.size,
            checksum=body.checksum,
            spool=body.spool.name if body.spool else None,
            place=place,
            pause=pause,
        )

    def octets(self) -> bytes:
        # Written out, because this is done for every message, and setting up an encoder costs several times as much.
        return (
            _STORED
            % (
                self.mid,
                _quoted(self.sender),
                ",".join(map(_quoted, self.recipients)),
                self.received.isoformat(),
                "null" if self.listener is None else _quoted(self.listener),
                _quoted(self.bounce_profile),
                _quoted(self.direction),
                self.icid,
                self.size,
                self.checksum,
                "null" if self.spool is None else _quoted(self.spool),
                "null" if self.place is None else f"[{_quoted(self.place.segment)},{self.place.offset}]",
                self.pause,
            )
        ).encode("ascii")

    @classmethod
    def from_octets(cls, octets: bytes) -> Envelope:
        """Errors: ValueError."""
        try:
            fields = json.loads(octets)
            fields["received"] = datetime.fromisoformat(fields["received"])
            fields["recipients"] = tuple(fields["recipients"])
            if fields.get("place") is not None:
                fields["place"] = Place(*fields["place"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an envelope: {error}") from None


def destination_domain(address: str) -> str:
    """Domain of a recipient address: lower case, A-label form, no trailing dot (delivery.md 1)."""
    domain = address.rpartition("@")[2].rstrip(".").lower()
    if not domain.isascii():
        try:
            return domain.encode("idna").decode("ascii")
        except UnicodeError:
            return domain
    return domain

"""Envelopes: what is handed to the queue, what delivery gets, and the octets in which an envelope is stored.

A stored envelope is JSON in ASCII (addresses may hold any octet, kept as "surrogateescape" characters), so that it can be
read without the body and survives every codec. `spool` names the file of a large body, `place` the segment of one
of medium size; without them the body is in the row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from appliance_runtime.queue.body import Body
from appliance_runtime.queue.segments import Place

Settle = Callable[[Exception | None], None]
"""told that something is durable, or why it is not (QueueFull, QueueError)"""

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@frozen(kw_only=True)
class NewMessage:
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


@frozen(kw_only=True)
class QueuedRecipient:
    rid: int
    address: str
    attempts: int
    """failed attempts so far"""
    last_reason: str
    warnings: int = 0
    """delay warnings sent so far"""
    last_warning: datetime | None = None


@frozen(kw_only=True)
class QueuedMessage:
    """A message with those of its recipients that are meant: the due ones of one domain, or all in a listing."""

    mid: int
    sender: str
    received: datetime
    bounce_profile: str
    listener: str | None
    size: int
    recipients: tuple[QueuedRecipient, ...]


@frozen(kw_only=True)
class Envelope:
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
        # Written out, because this is done for every message and `asdict` costs as much as all the rest of storing one.
        return _ENCODE(
            {
                "mid": self.mid,
                "sender": self.sender,
                "recipients": self.recipients,
                "received": self.received.isoformat(),
                "listener": self.listener,
                "bounce_profile": self.bounce_profile,
                "direction": self.direction,
                "icid": self.icid,
                "size": self.size,
                "checksum": self.checksum,
                "spool": self.spool,
                "place": (self.place.segment, self.place.offset) if self.place else None,
                "pause": self.pause,
            }
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

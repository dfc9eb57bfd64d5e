"""Envelopes as they are stored: every field comes back."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from appliance_runtime.queue.envelope import Envelope
from appliance_runtime.queue.segments import Place

FULL = Envelope(
    mid=7,
    sender="caf\udce9@example.com",
    recipients=("a@example.com", "b@example.net"),
    received=datetime(2026, 3, 6, 9, 0, 0, 123456, tzinfo=UTC),
    listener="InboundMail",
    bounce_profile="Default",
    direction="inbound",
    icid=3,
    size=70_000,
    checksum=4_000_000_000,
    spool="0123456789abcdef",
    place=Place("fedcba9876543210", 4096),
    pause=5,
)


def test_every_field_comes_back() -> None:
    fields = attrs.fields_dict(Envelope)
    unset = [name for name, field in fields.items() if getattr(FULL, name) in (None, field.default)]
    assert unset == []  # a new field is to be set above
    assert Envelope.from_octets(FULL.octets()) == FULL


def test_a_message_that_was_made_here_has_no_listener() -> None:
    own = attrs.evolve(FULL, listener=None, spool=None, place=None)
    assert Envelope.from_octets(own.octets()) == own

"""Envelopes as they are stored: every field comes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

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
    defaults = Envelope._field_defaults
    unset = [name for name, value in FULL._asdict().items() if value in (None, defaults.get(name))]
    assert unset == []  # a new field is to be set above
    assert Envelope.from_octets(FULL.octets()) == FULL


def test_a_message_that_was_made_here_has_no_listener() -> None:
    own = FULL._replace(listener=None, spool=None, place=None)
    assert Envelope.from_octets(own.octets()) == own


@pytest.mark.parametrize("text", ["", 'a"b\\c', "\r\n\0\x7f", "%s %(mid)d {}", "\udc80\udcff", "\u00e9\u65e5\U0001f600"])
def test_it_is_json_in_ascii_whatever_the_texts_are(text: str) -> None:
    envelope = FULL._replace(sender=text, recipients=(text, text), listener=text, bounce_profile=text, direction=text, spool=text)
    envelope = envelope._replace(place=Place(text, 1))
    expected = {**envelope._asdict(), "received": envelope.received.isoformat(), "recipients": [text, text], "place": [text, 1]}
    assert json.loads(envelope.octets().decode("ascii")) == expected
    assert Envelope.from_octets(envelope.octets()) == envelope

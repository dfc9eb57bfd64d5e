"""Octets that SMTP does not foresee, on their way out: what arrives at a peer with and without 8BITMIME (delivery.md 3, item 6)."""

from __future__ import annotations

import pytest

from tests.appliance_runtime.delivery.conftest import Rig

LONG = b"y" * 5000
BODY = b"Subject: x\r\n\r\n" + b"\0 nul\r\n" + b"\xff\xfe \xc3\xa9\r\n" + LONG + b"\r\n.leading\r\n"
BARE = b"a\n.\nb\r.\rMAIL FROM:<evil@x.test>\n"
REPAIRED = b"a\r\n.\r\nb\r\n.\r\nMAIL FROM:<evil@x.test>\r\n"
"""a lone dot that conversion makes is no end: it is stuffed, and the peer takes the dot off again"""


@pytest.mark.parametrize("eight_bit", [True, False])
async def test_what_arrives(rig: Rig, eight_bit: bool) -> None:
    peer = await rig.peer("mx1.d.test", "192.0.2.10", domain="d.test", eight_bit=eight_bit)
    await rig.send(body=BODY + BARE)
    await rig.until(lambda: len(peer.messages) == 1, "the message")
    assert peer.messages[0].octets == BODY + REPAIRED
    assert len(peer.messages) == 1 and peer.visits[0].commands.count("MAIL") == 1, "nothing of it was taken for a command"
    (mail,) = [line for line, _ in peer.visits[0].lines if line.startswith("MAIL")]
    assert mail.endswith(" BODY=8BITMIME") == eight_bit
    raw = bytes(peer.visits[0].raw)
    data = raw[raw.index(b"Subject: x") :]
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert data.index(b"\r\n.\r\n") == data.rindex(b"\r\n.\r\n")


async def test_seven_bit_mail_is_not_called_eight_bit(rig: Rig) -> None:
    peer = await rig.peer("mx1.d.test", "192.0.2.10", domain="d.test")
    await rig.send(body=b"Subject: x\r\n\r\nplain\r\n")
    await rig.until(lambda: len(peer.messages) == 1, "the message")
    (mail,) = [line for line, _ in peer.visits[0].lines if line.startswith("MAIL")]
    assert "BODY" not in mail

"""Bounces and delay warnings as their readers get them (routing.md 6)."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any, cast

import pytest

from appliance_state.model.bounces import BounceProfile
from appliance_state.table import evolve

Rig = Any
ORIGINAL = b"From: alice@example.test\r\nSubject: original\r\n\r\nmarker-in-the-body\r\n"
REPLY = "5.1.1 <x@d.test>: no such user"


async def prepared(rig: Rig, **profile: Any) -> Any:
    """The mailbox of the sender; d.test knows no x and is not at home for y."""
    replies = {"x@d.test": f"550 {REPLY}", "y@d.test": "550-5.1.1 not\r\n550 5.1.1 here"}
    await rig.peer("mx1.d.test", "127.0.10.25", domain="d.test", rcpt_replies=replies)
    default = evolve(rig.snapshot.config.bounce_profiles["Default"], **profile)
    rig.commit(bounce_profiles=rig.snapshot.config.bounce_profiles.put(default))
    return await rig.peer("mx.example.test", "127.0.10.26", domain="example.test")


def parsed(octets: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(octets.replace(b"\r\n", b"\n"), policy=email.policy.default))


async def test_bounce_in_every_part(rig: Rig) -> None:
    sink = await prepared(rig)
    await rig.send("x@d.test", body=ORIGINAL)
    (received,) = await sink.wait(1)
    assert (received.sender, received.recipients) == ("", ("alice@example.test",))
    boundary = re.search(rb'boundary="([^"]+)"', received.octets)
    assert boundary is not None and re.fullmatch(rb"\w{5}\.\w{9}\.\w{11}\.\w{7}", boundary[1])
    message_id = re.search(rb"Message-ID: (<.*>)", received.octets)
    assert message_id is not None
    expected = """\
From: "Mail Delivery System" <MAILER-DAEMON@mail.example.com>
To: <alice@example.test>
Subject: Delivery Status Notification (Failure)
Date: Fri, 06 Mar 2026 09:00:00 +0000
Message-ID: {message_id}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{b}"

--{b}
content-type: text/plain;
    charset="utf-8"
Content-Transfer-Encoding: quoted-printable

The following message to <x@d.test> was undeliverable.
The reason for the problem:
5.1.0 - Unknown address error 550-'5.1.1 <x@d.test>: no such user'

--{b}
content-type: message/delivery-status

Reporting-MTA: dns; mail.example.com

Final-Recipient: rfc822;x@d.test
Action: failed
Status: 5.0.0 (permanent failure)
Remote-MTA: dns; [127.0.10.25]
Diagnostic-Code: smtp; 5.1.0 - Unknown address error 550-'5.1.1 <x@d.test>: no such user' (delivery attempts: 0)

--{b}
content-type: message/rfc822

From: alice@example.test
Subject: original

marker-in-the-body

--{b}--
""".format(b=boundary[1].decode(), message_id=message_id[1].decode())
    assert received.octets.decode() == expected.replace("\n", "\r\n")


async def test_one_bounce_with_a_group_for_each_recipient(rig: Rig) -> None:
    sink = await prepared(rig)
    await rig.send("x@d.test", "good@d.test", "y@d.test", body=ORIGINAL)
    (received,) = await sink.wait(1)
    await rig.idle()
    assert len(sink.messages) == 1
    report = parsed(received.octets)
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status"
    text, status, original = report.iter_parts()
    assert text.get_content().count("The following message to <") == 2
    groups = cast(list[EmailMessage], status.get_payload())
    assert [group["Final-Recipient"] for group in groups] == [None, "rfc822;x@d.test", "rfc822;y@d.test"]
    assert groups[2]["Diagnostic-Code"].startswith("smtp; 5.1.0 - Unknown address error 550-'5.1.1 not\\n5.1.1 here'")
    assert original.get_content()["Subject"] == "original"
    assert rig.counters.columns("gen_bounce_recips").uptime == 1
    assert rig.counters.columns("5xx_hard_bounced_recips").uptime == 2


async def test_only_the_header_of_a_long_original(rig: Rig) -> None:
    sink = await prepared(rig, max_bounce_copy=60)
    await rig.send("x@d.test", body=ORIGINAL)
    (received,) = await sink.wait(1)
    part = list(parsed(received.octets).iter_parts())[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert b"marker" not in received.octets
    assert "Subject: original" in part.get_content()


async def test_eight_bit_original_and_long_lines(rig: Rig) -> None:
    sink = await prepared(rig)
    body = "Subject: ä\r\n\r\n".encode() + b"\xff" * 1200 + b"\r\n"
    await rig.send("x@d.test", body=body)
    (received,) = await sink.wait(1)
    assert body in received.octets
    assert b"content-type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject" in received.octets


async def test_response_code_of_the_peer(rig: Rig) -> None:
    sink = await prepared(rig, use_bounce_response_code=True)
    await rig.send("x@d.test")
    (received,) = await sink.wait(1)
    assert b"\r\nStatus: 5.1.1\r\n" in received.octets


async def test_plain_form(rig: Rig) -> None:
    sink = await prepared(rig, use_dsn_bounce_format=False, bounce_subject="Nicht zugestellt: ü")
    await rig.send("x@d.test", body=ORIGINAL)
    (received,) = await sink.wait(1)
    message = parsed(received.octets)
    assert message.get_content_type() == "text/plain"
    assert message["Subject"] == "Nicht zugestellt: ü"
    assert message.get_content() == (
        "The following message to <x@d.test> was undeliverable.\n"
        "The reason for the problem:\n"
        f"5.1.0 - Unknown address error 550-'{REPLY}'\n"
        "\n"
        "Message follows:\n"
        "\n" + ORIGINAL.decode().replace("\r\n", "\n")
    )


async def test_to_another_address(rig: Rig) -> None:
    sink = await prepared(rig, bounce_address="postmaster@example.test")
    await rig.send("x@d.test", sender="carol@elsewhere.test")
    (received,) = await sink.wait(1)
    assert received.recipients == ("postmaster@example.test",)


async def test_no_bounce_when_switched_off(rig: Rig) -> None:
    sink = await prepared(rig, send_bounces=False)
    mid = await rig.send("x@d.test")
    await rig.idle()
    assert sink.visits == []
    assert rig.lines(f"Bounced: DCID 1 MID {mid} to RID 0 - 5.1.0") and rig.lines(f"Message finished MID {mid} done")


async def test_a_message_without_sender_is_never_bounced(rig: Rig) -> None:
    sink = await prepared(rig, bounce_address="postmaster@example.test")
    mid = await rig.send("x@d.test", sender="")
    await rig.idle()
    assert rig.lines("Double bounce") == [f"Double bounce: MID {mid} to 0 - 5.1.0 - Unknown address error 550-'{REPLY}'"]
    assert sink.visits == [] and rig.queue.active_recipients == 0


async def test_expired_for_want_of_tls(rig: Rig) -> None:
    """R: the reason reaches the sender in text and Diagnostic-Code."""
    sink = await prepared(rig, max_retries=1)
    await rig.peer("mx1.e.test", "127.0.10.27", domain="e.test", behaviour="no-starttls")
    rig.level(3, "e.test")
    mid = await rig.send("bob@e.test")
    await rig.idle()
    await rig.advance(60)
    (received,) = await sink.wait(1)
    assert len(rig.lines(f"MID {mid} to RID 0 - 4.7.5 - Cryptographic failure ('000', ['STARTTLS command not supported']) []")) == 2
    description = "5.4.7 - Delivery expired (message too old) 'STARTTLS command not supported'"
    text, status, _ = parsed(received.octets).iter_parts()
    assert description in text.get_content()
    group = cast(list[EmailMessage], status.get_payload())[1]
    assert group["Diagnostic-Code"] == f"smtp; {description} (delivery attempts: 1)"
    assert group["Remote-MTA"] is None


async def test_foreign_replies_cannot_write_lines(rig: Rig) -> None:
    await prepared(rig)
    peer = rig.peers[0]
    peer.rcpt_replies["x@d.test"] = "550 \x1b[31m 5.1.1 'quoted' \x07"
    await rig.send("x@d.test")
    await rig.idle()
    assert rig.lines("('550', [\"\\x1b[31m 5.1.1 'quoted' \\x07\"]) []")
    octets = rig.peers[1].messages[0].octets
    assert b"\x1b" not in octets and b"\x07" not in octets


@pytest.mark.parametrize("answer", ["450 4.2.1 busy", "connection refused"])
async def test_delay_warning(rig: Rig, answer: str) -> None:
    """Only for 4xx, at the second attempt or later, and as often as the profile says."""
    sink = await prepared(rig, send_warnings=True, send_warnings_interval=100, send_warnings_count=2)
    peer = await rig.peer("mx1.e.test", "127.0.10.27", domain="e.test", rcpt_replies={"bob@e.test": answer})
    if answer == "connection refused":
        await peer.stop()
    await rig.send("bob@e.test", body=ORIGINAL)
    await rig.idle()
    await rig.advance(61)
    assert sink.messages == []
    await rig.advance(1000)
    if answer == "connection refused":
        assert sink.messages == []
        return
    assert len(sink.messages) == 2
    warning = parsed(sink.messages[0].octets)
    assert warning["Subject"] == "Delivery Status Notification (Delay)"
    assert sink.messages[0].sender == ""
    text, status, _ = warning.iter_parts()
    assert text.get_content().startswith("The following message to <bob@e.test> has not yet been delivered.\n")
    group = cast(list[EmailMessage], status.get_payload())[1]
    assert (group["Action"], group["Status"]) == ("delayed", "4.0.0 (temporary failure)")
    assert group["Will-Retry-Until"] == "Mon, 09 Mar 2026 09:00:00 +0000"
    assert group["Diagnostic-Code"] == "smtp; 4.1.0 - Unknown address error 450-'4.2.1 busy' (delivery attempts: 2)"


async def test_profile_of_the_listener(rig: Rig) -> None:
    sink = await prepared(rig)
    quiet = BounceProfile(name="quiet", send_bounces=False)
    rig.commit(bounce_profiles=rig.snapshot.config.bounce_profiles.put(quiet))
    await rig.send("x@d.test", profile="quiet")
    await rig.idle()
    assert sink.messages == []

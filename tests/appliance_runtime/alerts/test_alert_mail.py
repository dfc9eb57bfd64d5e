"""The mail of an alert, octet for octet (logs-and-alerts.md 7.1, 9.13)."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from zoneinfo import ZoneInfo

import pytest

from appliance_runtime.alerts.catalogue import disk_full, queue_corrupt
from appliance_runtime.alerts.mail import AlertMail, duplicates
from appliance_runtime.alerts.series import Summary

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
DANE = """\
DANE verification failed for all MX hosts of the domain partner.test.
mx1.partner.test: no matching TLSA record
mx2.partner.test: TLSA lookup failed (bogus)"""


def alert_mail(text: str, summary: str = "", zone: str = "GMT", sender: str = "alert@mail3.example.com") -> AlertMail:
    return AlertMail(
        severity="Warning",
        alert_class="Message Delivery",
        text=text,
        summary=summary,
        at=START.astimezone(ZoneInfo(zone)),
        hostname="mail3.example.com",
        sender=sender,
        version="15.5.1-055",
        serial="000F1F6ACFA6-2Y5SQ41",
    )


def test_the_example_of_the_specification() -> None:
    expected = f"""\
From: alert@mail3.example.com
To: ops@example.com
Subject: Warning <Message Delivery> mail3.example.com: DANE verification failed for all MX hosts of the domain part...
Date: Fri, 06 Mar 2026 09:00:00 +0000
Message-ID: <token@mail3.example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Auto-Submitted: auto-generated

The Warning message is:

{DANE}

Version: 15.5.1-055
Serial Number: 000F1F6ACFA6-2Y5SQ41
Timestamp: 06 Mar 2026 09:00:00 +0000
"""
    assert alert_mail(DANE).to("ops@example.com", "token").decode() == expected.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "..."),
        ("one\ntwo", "one; two"),
        ("x" * 58 + "\n2", "x" * 58 + "; ..."),
    ],
)
def test_subject(text: str, shown: str) -> None:
    assert alert_mail(text).subject == f"Warning <Message Delivery> mail3.example.com: {shown}"


def test_summary_stands_between_text_and_version() -> None:
    paragraph = duplicates(Summary("", 28, START, datetime(2026, 3, 6, 10, 32, 24, tzinfo=UTC)), "Asia/Tokyo")
    assert paragraph == "Last message occurred 28 times between Fri Mar 06 18:00:00 2026 and Fri Mar 06 19:32:24 2026."
    body = alert_mail("text", paragraph, zone="Asia/Tokyo").body
    assert body == (
        f"The Warning message is:\n\ntext\n\n{paragraph}\n\nVersion: 15.5.1-055\n"
        "Serial Number: 000F1F6ACFA6-2Y5SQ41\nTimestamp: 06 Mar 2026 18:00:00 +0900\n"
    )


def test_own_sender_with_name() -> None:
    mail = alert_mail("text", sender='"Mail Gateway" <esa@example.com>')
    assert mail.envelope_sender == "esa@example.com"
    assert mail.to("ops@example.com", "t").startswith(b'From: "Mail Gateway" <esa@example.com>\r\n')


@pytest.mark.parametrize("text", ["証明書の期限", "x" * 1500], ids=["not ASCII", "long line"])
def test_what_is_not_plain_is_encoded(text: str) -> None:
    octets = alert_mail(text).to("ops@example.com", "t")
    assert octets.isascii() and max(map(len, octets.split(b"\r\n"))) < 998
    message = message_from_bytes(octets, policy=default)
    mail = alert_mail(text)
    assert message["Subject"] == mail.subject
    assert message.get_content().replace("\r\n", "\n") == mail.body


def test_catalogue() -> None:
    from pathlib import Path

    alert_id, key, *kind, text = disk_full(Path("/proc/self"), "messages")
    assert (alert_id, key, *kind) == ("disk.full", "/proc", "System", "Critical")
    assert text == "The file system /proc is full; messages cannot be written."
    assert queue_corrupt("aside/1.body")[1] == "aside/1.body"

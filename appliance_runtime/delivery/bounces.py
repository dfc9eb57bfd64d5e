"""Bounces and delay warnings, octet for octet (RFC 3464; routing.md 6). Pure: time and random texts come in.

Three parts: text for people, delivery-status with one group for each recipient, and the original message, or its header
when the message is longer than the profile allows. Fields are not folded. Foreign texts are escaped.
"""

from __future__ import annotations

import quopri
import random
import string
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from attrs import frozen

from appliance_runtime.delivery.failures import Failure
from appliance_runtime.logs.escaping import escape
from appliance_state.model.bounces import BounceProfile

_TOKEN = string.ascii_letters + string.digits
_TOKEN_LENGTHS = (5, 9, 11, 7)


@frozen(kw_only=True)
class Concerned:
    """A recipient of whom the sender is told. `retries`: attempts after the first one."""

    address: str
    failure: Failure
    retries: int


@frozen(kw_only=True)
class Notice:
    """What all forms of a bounce or warning have in common. `retry_until`: of a warning; None = a bounce. Times are local."""

    hostname: str
    recipient: str
    profile: BounceProfile
    concerned: Sequence[Concerned]
    original: bytes
    date: datetime
    retry_until: datetime | None = None

    @property
    def subject(self) -> str:
        return self.profile.bounce_subject if self.retry_until is None else self.profile.delay_subject

    @property
    def text(self) -> str:
        what = "was undeliverable." if self.retry_until is None else "has not yet been delivered."
        return "\n\n".join(
            f"The following message to <{escape(one.address)}> {what}\nThe reason for the problem:\n{one.failure.description}"
            for one in self.concerned
        )

    @property
    def whole(self) -> bool:
        """The original is included with its body."""
        return len(self.original) <= self.profile.max_bounce_copy

    @property
    def copy(self) -> bytes:
        if self.whole:
            return self.original
        head, _, _ = self.original.partition(b"\r\n\r\n")
        return (head + b"\r\n")[: self.profile.max_bounce_copy]


def compose(notice: Notice, rng: random.Random) -> bytes:
    """The whole message in wire form."""
    head = [
        f'From: "Mail Delivery System" <MAILER-DAEMON@{notice.hostname}>',
        f"To: <{escape(notice.recipient)}>",
        f"Subject: {_subject(notice.subject)}",
        f"Date: {format_datetime(notice.date)}",
        f"Message-ID: <{_tokens(rng)}@{notice.hostname}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
    ]
    if notice.profile.use_dsn_bounce_format:
        return _report(notice, head, _tokens(rng))
    octets = _octets(f"{notice.text}\n\nMessage follows:\n\n") + notice.copy
    encoding = "quoted-printable" if _needs_encoding(octets) else "7bit"
    head += ['Content-Type: text/plain; charset="utf-8"', f"Content-Transfer-Encoding: {encoding}", ""]
    return _octets("\n".join(head) + "\n") + (_printable(octets) if encoding != "7bit" else octets)


def _report(notice: Notice, head: list[str], boundary: str) -> bytes:
    original = "message/rfc822" if notice.whole else "text/rfc822-headers"
    eight_bit = "" if notice.copy.isascii() else "Content-Transfer-Encoding: 8bit\n"
    groups = [f"Reporting-MTA: dns; {notice.hostname}", *(_group(notice, one) for one in notice.concerned)]
    parts = [
        _octets('content-type: text/plain;\n    charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n')
        + _printable(_octets(f"{notice.text}\n")),
        _octets("content-type: message/delivery-status\n\n" + "\n\n".join(groups) + "\n"),
        _octets(f"content-type: {original}\n{eight_bit}\n") + notice.copy,
    ]
    head += [f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"', ""]
    mark = _octets(f"--{boundary}")
    body = b"".join(b"\r\n" + mark + b"\r\n" + part for part in parts)
    return _octets("\n".join(head) + "\n") + body.removeprefix(b"\r\n") + b"\r\n" + mark + b"--\r\n"


def _group(notice: Notice, one: Concerned) -> str:
    bounce = notice.retry_until is None
    status = one.failure.enhanced if notice.profile.use_bounce_response_code else None
    lines = [
        f"Final-Recipient: rfc822;{escape(one.address)}",
        f"Action: {'failed' if bounce else 'delayed'}",
        f"Status: {status or ('5.0.0 (permanent failure)' if bounce else '4.0.0 (temporary failure)')}",
    ]
    if one.failure.remote is not None:
        lines.append(f"Remote-MTA: dns; [{one.failure.remote}]")
    lines.append(f"Diagnostic-Code: smtp; {one.failure.description} (delivery attempts: {one.retries})")
    if notice.retry_until is not None:
        lines.append(f"Will-Retry-Until: {format_datetime(notice.retry_until)}")
    return "\n".join(lines)


def _tokens(rng: random.Random) -> str:
    """`1txxE.5j2NRavaV.3ovk12OprGX.Cr7q5iE`: long enough to occur in no message."""
    return ".".join("".join(rng.choices(_TOKEN, k=length)) for length in _TOKEN_LENGTHS)


def _subject(text: str) -> str:
    safe = escape(text)
    return safe if safe.isascii() else Header(safe, "utf-8").encode()


def _octets(text: str) -> bytes:
    """Own text with CRLF. Addresses may hold octets that are no UTF-8; they were escaped."""
    return text.encode("utf-8", "backslashreplace").replace(b"\n", b"\r\n")


def _needs_encoding(octets: bytes) -> bool:
    return not octets.isascii() or any(len(line) > 998 for line in octets.split(b"\r\n"))


def _printable(octets: bytes) -> bytes:
    return quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")

"""The mail of an alert, octet for octet (logs-and-alerts.md 7.1, alertconfig.md 4). Pure."""

from __future__ import annotations

import quopri
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, parseaddr

from attrs import frozen

from appliance_runtime.alerts.series import Summary
from appliance_runtime.clock import short_date

SUBJECT_TEXT = 60
"""characters of the text that a subject shows"""
LONGEST_LINE = 998


@frozen(kw_only=True)
class AlertMail:
    """What all copies of one alert share. `text` may have several lines; `at`: in the time zone of the appliance."""

    severity: str
    alert_class: str
    text: str
    summary: str
    at: datetime
    hostname: str
    sender: str
    version: str
    serial: str

    @property
    def subject(self) -> str:
        """As it is shown and logged, not encoded."""
        text = self.text.replace("\n", "; ")
        if len(text) > SUBJECT_TEXT:
            text = f"{text[:SUBJECT_TEXT]}..."
        return f"{self.severity} <{self.alert_class}> {self.hostname}: {text}"

    @property
    def envelope_sender(self) -> str:
        return parseaddr(self.sender)[1]

    @property
    def body(self) -> str:
        paragraphs = [f"The {self.severity} message is:", self.text]
        if self.summary:
            paragraphs.append(self.summary)
        paragraphs.append(f"Version: {self.version}\nSerial Number: {self.serial}\nTimestamp: {self.at.strftime('%d %b %Y %H:%M:%S %z')}")
        return "\n\n".join(paragraphs) + "\n"

    def to(self, recipient: str, token: str) -> bytes:
        """The message for one recipient. `token`: unique part of its Message-ID."""
        headers = [
            ("From", self.sender),
            ("To", recipient),
            ("Subject", self.subject),
            ("Date", format_datetime(self.at)),
            ("Message-ID", f"<{token}@{self.hostname}>"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Auto-Submitted", "auto-generated"),
        ]
        content = self.body.encode("utf-8", "backslashreplace")
        if not content.isascii() or max(map(len, content.split(b"\n"))) > LONGEST_LINE:
            content = quopri.encodestring(content)
            headers.append(("Content-Transfer-Encoding", "quoted-printable"))
        head = "".join(f"{name}: {_encoded(value)}\n" for name, value in headers)
        return (head.encode("ascii") + b"\n" + content).replace(b"\n", b"\r\n")


def duplicates(summary: Summary, zone: str) -> str:
    """The paragraph that tells of suppressed alerts; times in the zone of the appliance."""
    first, last = (short_date(moment, zone) for moment in (summary.first, summary.last))
    return f"Last message occurred {summary.count} times between {first} and {last}."


def _encoded(value: str) -> str:
    """RFC 2047 where it is needed; ASCII stays on one line, unfolded."""
    return value if value.isascii() else Header(value, "utf-8").encode()

"""Why a recipient was not delivered: status, reply, and the forms in which log, bounce and queue write it (delivery.md 8).

A failure is an answer of the peer with its code, or an own reason: code `000` and one line.
"""

from __future__ import annotations

import re

from attrs import frozen

from appliance_runtime.delivery.replies import Reply
from appliance_runtime.logs.escaping import escape, quote

OWN = "000"
STATUS_TEXTS = {
    "0.0": "Other address status",
    "1.0": "Unknown address error",
    "1.2": "Bad destination host",
    "3.0": "Other mail system problem",
    "4.0": "Other network problem",
    "4.3": "Routing server failure",
    "4.6": "Routing loop detected",
    "4.7": "Delivery expired (message too old)",
    "7.5": "Cryptographic failure",
}
"""by status without its class"""
TRANSIENT, PERMANENT = 400, 500
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s|$)")


@frozen(kw_only=True)
class Failure:
    """`status`: enhanced code (RFC 3463); of class 5 = for good. `remote`: address of the host concerned."""

    status: str
    lines: tuple[str, ...]
    code: str = OWN
    remote: str | None = None
    lookup: tuple[str, str, str] | None = None
    """name, type and absence of a look-up that ended the attempt"""

    @classmethod
    def own(cls, status: str, text: str, *, remote: str | None = None, lookup: tuple[str, str, str] | None = None) -> Failure:
        return cls(status=status, lines=(text,), remote=remote, lookup=lookup)

    @classmethod
    def of(cls, reply: Reply, kind: str, remote: str) -> Failure:
        """`kind`: the status without its class. An answer that is neither 4xx nor 5xx is one to be tried again."""
        status = f"{5 if reply.code >= PERMANENT else 4}.{kind}"
        return cls(status=status, lines=reply.lines, code=str(reply.code), remote=remote)

    @property
    def hard(self) -> bool:
        return self.status.startswith("5")

    @property
    def answered(self) -> bool:
        """An answer of the peer, not an own reason."""
        return self.code != OWN

    @property
    def text(self) -> str:
        return STATUS_TEXTS[self.status[2:]]

    @property
    def fields(self) -> dict[str, object]:
        """For the lines of the log: `('550', ['5.1.1 no such user'])`."""
        return {"status": self.status, "status_text": self.text, "code": quote(self.code), "lines": list(self.lines)}

    @property
    def reply(self) -> str:
        """`550-'5.1.1 no such user'`, several lines joined by a written `\\n`; own reasons without code."""
        text = quote("\n".join(self.lines)).replace("\\x0a", "\\n")
        return f"{self.code}-{text}" if self.answered else text

    @property
    def description(self) -> str:
        """`5.1.0 - Unknown address error 550-'5.1.1 no such user'`."""
        return f"{self.status} - {self.text} {self.reply}"

    @property
    def reason(self) -> str:
        """What the queue remembers, and the bounce of an expired message says."""
        text = escape("\n".join(self.lines)).replace("\\x0a", "\\n")
        return f"{self.code} {text}" if self.answered else text

    @property
    def enhanced(self) -> str | None:
        """The enhanced code at the start of the peer's answer, if it is of the same class."""
        match = _ENHANCED.match(self.lines[0]) if self.answered and self.lines else None
        return match[1] if match and match[1][0] == self.status[0] else None


def expired(reason: str) -> Failure:
    """`reason`: the last one."""
    return Failure.own("5.4.7", reason)

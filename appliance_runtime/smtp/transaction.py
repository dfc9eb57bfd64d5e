"""A mail transaction (RFC 5321 3.3) on its way in: what has been gathered between MAIL and the end of its message."""

from __future__ import annotations

from attrs import define, field

from appliance_runtime.queue.body import Body


@define(eq=False)
class Transaction:
    """A message on its way in. `body` is None on a blackhole listener, and before the header has come."""

    mid: int
    sender: str
    recipients: list[str] = field(factory=list)
    body: Body | None = None
    size: int = 0
    message_id: str | None = None
    subject: str | None = None
    rewritten: tuple[int, bytes] | None = None
    """octets at the beginning of the content that are to be replaced, and by what"""
    masqueraded: list[tuple[str, str, str]] = field(factory=list)
    verbatim: bool = True
    """what is put in front may be sent as it is, and nothing is rewritten"""

    def write(self, octets: bytes) -> None:
        """Add to the message."""
        self.size += len(octets)
        if self.body is not None and octets:
            self.body.write(octets)

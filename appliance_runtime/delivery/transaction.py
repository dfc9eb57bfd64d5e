"""One message over an open connection: MAIL, RCPT, DATA, and what became of each recipient (RFC 5321 3.3; delivery.md 3, 8).

No pipelining. Lines end in CRLF, leading dots are doubled, bare CR and LF never leave. An address that would not stay within
its brackets is never sent: it could carry parameters, or a command of its own.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence

from attrs import define, field

from appliance_runtime.delivery import wire as smtp
from appliance_runtime.delivery.connection import Connection
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.replies import Reply
from appliance_runtime.delivery.wire import Lost, Step
from appliance_runtime.queue.body import has_pairs_only
from appliance_runtime.queue.envelope import QueuedRecipient

MAX_RECIPIENTS = 100
"""RCPT commands of one transaction"""
CLOSING = 421
GO_AHEAD = 354
UNSENDABLE = "the address contains characters that cannot be sent"
_SENDABLE = re.compile(r'(?:"(?:[^"\\\x00-\x1f\x7f-\x9f]|\\[^\x00-\x1f\x7f-\x9f])*"|[^"<>\s\x00-\x1f\x7f-\x9f])*')
"""no blank, bracket or control character, but for the first two in a quoted string (RFC 5321 4.1.2)"""
_BARE = re.compile(rb"\r\n|\r|\n")


@define
class Outcome:
    """What became of the recipients of one transaction, by RID. Those in neither map were not decided upon."""

    delivered: list[int] = field(factory=list)
    failed: dict[int, Failure] = field(factory=dict)
    named: int = 0
    """RCPT commands that were sent"""
    reply: Reply | None = None
    """the final one"""
    possible: bool = False
    """the connection was lost between the final dot and its reply: delivered, as far as one can know"""
    lost: str | None = None
    """the connection was lost before; the recipients left over may be tried elsewhere"""


async def send(
    connection: Connection,
    sender: str,
    recipients: Sequence[QueuedRecipient],
    body: bytes,
    *,
    possible: bool,
    verbatim: bool = False,
) -> Outcome:
    """`possible`: a reply that never comes counts as delivered; `verbatim`: the body needs nothing but the final dot.

    Never raises for what the peer does.
    """
    outcome = Outcome()
    sendable = [one for one in recipients if _SENDABLE.fullmatch(sender) and _SENDABLE.fullmatch(one.address)]
    for one in recipients:
        if one not in sendable:
            outcome.failed[one.rid] = Failure.own("5.1.0", UNSENDABLE)
    try:
        if sendable:
            await connection.wire.converse(_transact(connection, sender, sendable, body, outcome, possible, verbatim))
    except Lost as lost:
        outcome.lost = str(lost)
    return outcome


def _transact(
    connection: Connection,
    sender: str,
    recipients: Sequence[QueuedRecipient],
    body: bytes,
    outcome: Outcome,
    possible: bool,
    verbatim: bool,
) -> Generator[Step, Reply, None]:
    """The dialogue of a transaction."""
    remote = connection.target.address
    if connection.dirty:
        yield b"RSET\r\n", smtp.COMMAND
    connection.sent += 1
    connection.dirty = True
    reply = yield _line(f"MAIL FROM:<{sender}>{_parameters(connection, body)}"), smtp.ENVELOPE
    if not reply.good:
        _refuse(connection, recipients, reply, "3.0", outcome)
        return
    taken: list[QueuedRecipient] = []
    for position, one in enumerate(recipients):
        outcome.named += 1
        reply = yield _line(f"RCPT TO:<{one.address}>"), smtp.ENVELOPE
        if reply.good:
            taken.append(one)
        elif reply.code == CLOSING:
            _refuse(connection, [*taken, *recipients[position:]], reply, "1.0", outcome)
            return
        else:
            outcome.failed[one.rid] = Failure.of(reply, "1.0", remote)
    if not taken:
        return
    reply = yield b"DATA\r\n", smtp.DATA
    if reply.code != GO_AHEAD:
        _refuse(connection, taken, reply, "3.0", outcome)
        return
    try:
        reply = yield body + b".\r\n" if verbatim else dot_stuffed(body), smtp.FINAL
    except Lost:
        if not possible or connection.wire.sending:
            raise
        outcome.possible = True
        outcome.delivered = [one.rid for one in taken]
        return
    connection.dirty = not reply.good
    if reply.good:
        outcome.reply = reply
        outcome.delivered = [one.rid for one in taken]
    else:
        _refuse(connection, taken, reply, "3.0", outcome)


def _line(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\r\n"


def _refuse(connection: Connection, recipients: Sequence[QueuedRecipient], reply: Reply, kind: str, outcome: Outcome) -> None:
    failure = Failure.of(reply, kind, connection.target.address)
    outcome.failed.update((one.rid, failure) for one in recipients)
    if reply.code == CLOSING:
        connection.closing = True


def _parameters(connection: Connection, body: bytes) -> str:
    size = f" SIZE={len(body)}" if "SIZE" in connection.keywords else ""
    return f"{size} BODY=8BITMIME" if "8BITMIME" in connection.keywords and not body.isascii() else size


def dot_stuffed(body: bytes) -> bytes:
    """As it goes over the wire, final dot included."""
    if not has_pairs_only(body):
        body = _BARE.sub(b"\r\n", body)
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    if b"\n." in body:
        body = body.replace(b"\r\n.", b"\r\n..")
    return b".%b.\r\n" % body if body.startswith(b".") else body + b".\r\n"

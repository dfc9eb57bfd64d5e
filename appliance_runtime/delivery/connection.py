"""A connection to a host up to the point where mail may flow: greeting, EHLO, TLS as the level demands, authentication.

Three steps, which probes take one by one: connect, encrypt, authenticate. Its lines of the log are written here, in the
order of delivery.md 4.3 and 11. Nothing that was learned before the handshake is used after it (RFC 3207 4.2).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn, Protocol

from attrs import define, field

from appliance_runtime.delivery import tlsa
from appliance_runtime.delivery import wire as smtp
from appliance_runtime.delivery.authentication import Authentication
from appliance_runtime.delivery.replies import Reply
from appliance_runtime.delivery.source import Source
from appliance_runtime.delivery.target import Target
from appliance_runtime.delivery.tls_policy import REASONS, Reason, Step, TlsPolicy, Verdict
from appliance_runtime.delivery.verify import Result
from appliance_runtime.delivery.wire import Lost, Wire
from appliance_runtime.logs.escaping import escape
from appliance_runtime.logs.writer import EventLog

NETWORK, UNEXPECTED = "network error", "unexpected SMTP response"
CLOSING, READY = 421, 220
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class Unusable(Exception):
    """The host cannot be used. `reason` None = not for TLS. `text` goes to the queue, `alert` into an alert; `detail`: of the reason."""

    def __init__(self, text: str, reason: Reason | None = None, *, alert: str = "", detail: str = "") -> None:
        super().__init__(text)
        self.text = escape(text)
        self.reason = reason
        self.alert = escape(alert)
        self.detail = escape(detail)


class Slots(Protocol):
    """Places for connections in TLS."""

    async def take(self, owner: str) -> None: ...

    def give(self, owner: str) -> None: ...


@define(eq=False)
class Connection:
    """Ready for mail."""

    target: Target
    dcid: int
    source: Source
    wire: Wire
    keywords: dict[str, str] = field(factory=dict)
    sent: int = 0
    """transactions so far"""
    dirty: bool = False
    """the last transaction failed: RSET before the next one"""
    closing: bool = False
    """the peer has said that it closes"""
    tls_slot: bool = False


@define(eq=False, kw_only=True)
class Opener:
    """Opens connections. `scale`: factor for time limits."""

    logs: EventLog
    authentication: Authentication
    tls_slots: Slots
    scale: float

    async def open(self, target: Target, dcid: int, source: Source) -> Connection:
        """Errors: Unusable; then the connection is closed and its lines are written."""
        connection = await self.connect(target, dcid, source)
        await self.encrypt(connection)
        await self.authenticate(connection)
        return connection

    async def connect(self, target: Target, dcid: int, source: Source) -> Connection:
        """The socket alone. Errors: Unusable."""
        self.logs.event("dcid.open", dcid=dcid, source=source.address, ip=target.address, port=target.port)
        try:
            wire = await smtp.connect(target.real, self.scale, source.bind)
        except Lost as lost:
            self._error(target, dcid, source, str(lost), NETWORK)
            raise Unusable(str(lost)) from None
        return Connection(target, dcid, source, wire)

    async def encrypt(self, connection: Connection) -> None:
        """Greeting, EHLO, and TLS where the level wants it. Errors: Unusable, as of `open`."""
        async with self._closing(connection):
            await self._greet(connection)

    async def authenticate(self, connection: Connection) -> Result | tlsa.Match | None:
        """Whether the peer is the one that was meant, as far as that is asked of it. Errors: Unusable, as of `open`."""
        if connection.wire.tls is None:
            return None
        async with self._closing(connection):
            result = await self._authenticated(connection)
        self._in_tls(connection, result)
        return result

    @asynccontextmanager
    async def _closing(self, connection: Connection) -> AsyncIterator[None]:
        """The end of a connection that cannot be used. Errors: Unusable."""
        try:
            yield
        except Lost as lost:
            self._error(connection.target, connection.dcid, connection.source, str(lost), NETWORK)
            await self.close(connection)
            raise Unusable(str(lost)) from None
        except Unusable:
            await self.close(connection)
            raise
        except BaseException:
            self._give_back(connection)
            connection.wire.abort()
            raise

    async def close(self, connection: Connection) -> None:
        """QUIT when the line is still usable; then the last line of the connection."""
        try:
            if connection.wire.lost is None and not connection.closing:
                await connection.wire.quit()
            else:
                connection.wire.close()
        finally:
            self._give_back(connection)
        self.logs.event("dcid.close", dcid=connection.dcid)

    def _give_back(self, connection: Connection) -> None:
        if connection.tls_slot:
            connection.tls_slot = False
            self.tls_slots.give(connection.target.domain)

    def _error(self, target: Target, dcid: int, source: Source, details: str, reason: str) -> None:
        self.logs.event(
            "dcid.error", dcid=dcid, domain=target.domain, ip=target.address, port=target.port, details=details,
            source=source.address, reason=reason,
        )  # fmt: skip

    async def _greet(self, connection: Connection) -> None:
        """Errors: Lost, Unusable."""
        wire = connection.wire
        self._accepted(connection, await wire.reply(smtp.GREETING))
        policy = connection.target.policy
        reply = await wire.ask(f"EHLO {connection.source.hello}", smtp.COMMAND)
        if reply.code == CLOSING:
            connection.closing = True
            raise Lost(reply.text)
        if not reply.good:
            self._before_220(connection, policy, Step.EHLO_REFUSED, reply.text)
            self._accepted(connection, await wire.ask(f"HELO {connection.source.hello}", smtp.COMMAND))
            return
        connection.keywords = keywords(reply)
        if "STARTTLS" not in connection.keywords:
            self._before_220(connection, policy, Step.NOT_OFFERED, "")
        elif policy.decide(Step.OFFERED) is Verdict.STARTTLS:
            await self.tls_slots.take(connection.target.domain)
            connection.tls_slot = True
            await self._start_tls(connection, policy)

    def _accepted(self, connection: Connection, reply: Reply) -> None:
        """Errors: Unusable when a greeting, or the answer to HELO, is no welcome."""
        if not reply.good:
            self._error(connection.target, connection.dcid, connection.source, reply.text, UNEXPECTED)
            raise Unusable(reply.text)

    async def _start_tls(self, connection: Connection, policy: TlsPolicy) -> None:
        wire, target = connection.wire, connection.target
        reply = await wire.ask("STARTTLS", smtp.COMMAND)
        if reply.code == CLOSING:
            connection.closing = True
            raise Lost(reply.text)
        if reply.code != READY:
            self._before_220(connection, policy, Step.STARTTLS_REFUSED, reply.text)
            self._give_back(connection)
            return
        if wire.pending:
            self._fail(connection, policy, Step.INJECTED, "")
        try:
            await wire.start_tls(target.snapshot.outbound_context, target.server_name)
        except Lost as lost:
            self._fail(connection, policy, Step.HANDSHAKE_FAILED, str(lost))
        try:
            reply = await wire.ask(f"EHLO {connection.source.hello}", smtp.COMMAND)
        except Lost as lost:
            # A peer that rejects our certificate says so only after its side of a TLS 1.3 handshake is complete.
            if lost.alert:
                self._fail(connection, policy, Step.HANDSHAKE_FAILED, str(lost))
            self._fail(connection, policy, Step.LOST_AFTER_TLS, "connection lost after the handshake")
        if not reply.good:
            connection.closing = reply.code == CLOSING
            self._fail(connection, policy, Step.LOST_AFTER_TLS, f"EHLO rejected after STARTTLS '{reply.text}'")
        connection.keywords = keywords(reply)

    async def _authenticated(self, connection: Connection) -> Result | tlsa.Match | None:
        """Errors: Unusable when less was found than is demanded."""
        target, chain, policy = connection.target, connection.wire.chain, connection.target.policy
        match policy.decide(Step.READY):
            case Verdict.MATCH:
                found = await self.authentication.matched(target, chain)
                if not found.ok:
                    self._fail(connection, policy, Step.NOT_MATCHED, found.text)
                return found
            case Verdict.VERIFY:
                result = await self.authentication.verified(target, chain)
                if not result.ok and policy.decide(Step.NOT_VERIFIED) is Verdict.FAIL:
                    self._fail(connection, policy, Step.NOT_VERIFIED, result.text, result.short)
                return result
            case _:
                return None

    def _in_tls(self, connection: Connection, result: Result | tlsa.Match | None) -> None:
        session = connection.wire.tls
        cipher = session.cipher() if session else None
        self.logs.event(
            "dcid.tls_success",
            dcid=connection.dcid,
            protocol=(session.version() if session else None) or "unknown",
            cipher=cipher[0] if cipher else "unknown",
        )
        if isinstance(result, tlsa.Match):
            self._log_match(connection, result)
        elif result is not None and result.ok:
            self.logs.event("dcid.verify_success", dcid=connection.dcid, presented=result.presented, reference=result.reference)
        elif result is not None:
            self.logs.event("dcid.verify_failed", dcid=connection.dcid, reason=result.text)

    def _log_match(self, connection: Connection, result: tlsa.Match) -> None:
        record, dane = result.record, connection.target.dane
        assert record is not None
        notes = tlsa.discouraged(record)
        if dane.insecure_mx:
            notes += f" (the MX record of {dane.insecure_mx} is insecure)"
        self.logs.event(
            "dcid.dane", dcid=connection.dcid, usage=record.usage, selector=record.selector, matching_type=record.matching_type,
            base=dane.base, notes=notes,
        )  # fmt: skip

    def _before_220(self, connection: Connection, policy: TlsPolicy, step: Step, detail: str) -> None:
        """Clear text goes on here, or the host is given up. Errors: Unusable."""
        if policy.decide(step) is Verdict.FAIL:
            self._fail(connection, policy, step, detail)
        if policy.wanted:
            self._reason(connection.dcid, REASONS[step], detail)

    def _fail(self, connection: Connection, policy: TlsPolicy, step: Step, detail: str, short: str | None = None) -> NoReturn:
        reason = REASONS[step]
        self._reason(connection.dcid, reason, detail)
        if policy.mandatory:
            self.logs.event("dcid.tls_required", dcid=connection.dcid, ip=connection.target.address)
        if step is Step.INJECTED:
            connection.wire.abort()
        raise Unusable(reason.text(detail), reason, alert=reason.alert(detail if short is None else short), detail=detail)

    def _reason(self, dcid: int, reason: Reason, detail: str) -> None:
        if reason is Reason.NOT_OFFERED:
            self.logs.event("dcid.starttls_not_offered", dcid=dcid)
        else:
            self.logs.event("dcid.tls_failed", dcid=dcid, reason=reason.text(detail))


def keywords(reply: Reply) -> dict[str, str]:
    """Extensions by keyword in upper case. The first line is the greeting line and never one, whatever it says."""
    found = {}
    for line in reply.lines[1:]:
        word, _, parameter = line.strip().partition(" ")
        if _KEYWORD.fullmatch(word):
            found[word.upper()] = parameter
    return found

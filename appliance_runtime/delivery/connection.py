"""A connection to a host up to the point where mail may flow: greeting, EHLO, TLS as the level demands, verification.

Its lines of the log are written here, in the order of delivery.md 4.3 and 11. Nothing that was learned before the
handshake is used after it (RFC 3207 4.2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NoReturn, Protocol

from attrs import define, field, frozen

from appliance_runtime.delivery import tlsa
from appliance_runtime.delivery import wire as smtp
from appliance_runtime.delivery.dane import OFF, HostDane
from appliance_runtime.delivery.source import Source
from appliance_runtime.delivery.tls_policy import REASONS, Reason, Step, TlsPolicy, Verdict
from appliance_runtime.delivery.verify import TOO_SLOW, Kind, Reference, Result, Rules, TrustAnchors, verify
from appliance_runtime.delivery.wire import Lost, Reply, Wire
from appliance_runtime.logs.escaping import escape
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import TlsSupport

VERIFICATION_SECONDS = 5.0
NETWORK, UNEXPECTED = "network error", "unexpected SMTP response"
CLOSING, READY = 421, 220
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class Unusable(Exception):
    """The host cannot be used. `reason` None = not for TLS. `text` goes to the queue, `alert` into an alert."""

    def __init__(self, text: str, reason: Reason | None = None, alert: str = "") -> None:
        super().__init__(text)
        self.text = escape(text)
        self.reason = reason
        self.alert = escape(alert)


@frozen(kw_only=True)
class Target:
    """Where a connection goes, for which domain, and under which settings. Addresses and port are logical."""

    domain: str
    host: str
    address: str
    port: int
    route_host: str | None
    real: tuple[str, int]
    support: TlsSupport
    snapshot: Snapshot
    dane: HostDane = OFF

    @property
    def policy(self) -> TlsPolicy:
        return TlsPolicy(self.support, self.dane.state)

    @property
    def name(self) -> str | None:
        """What is asked for in the handshake: where TLSA records are, the name below which they were found."""
        if self.dane.state.demands_tls:
            return self.dane.base
        return None if self.host == self.address else self.host


class Slots(Protocol):
    """Places for connections in TLS."""

    async def take(self) -> None: ...

    def give(self) -> None: ...


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
    """Opens connections. `ptr`: name of an address, None = none known; `scale`: factor for time limits."""

    logs: EventLog
    now: Callable[[], datetime]
    anchors: Callable[[Snapshot], TrustAnchors]
    ptr: Callable[[str], Awaitable[str | None]]
    tls_slots: Slots
    scale: float
    _threads: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(4, "verification"))

    async def open(self, target: Target, dcid: int, source: Source) -> Connection:
        """Errors: Unusable; then the connection is closed and its lines are written."""
        self.logs.event("dcid.open", dcid=dcid, source=source.address, ip=target.address, port=target.port)
        try:
            wire = await smtp.connect(target.real, self.scale, source.bind)
        except Lost as lost:
            self._error(target, dcid, source, str(lost), NETWORK)
            raise Unusable(str(lost)) from None
        connection = Connection(target, dcid, source, wire)
        try:
            await self._prepare(connection)
        except Lost as lost:
            self._error(target, dcid, source, str(lost), NETWORK)
            await self.close(connection)
            raise Unusable(str(lost)) from None
        except Unusable:
            await self.close(connection)
            raise
        except BaseException:
            self._give_back(connection)
            wire.abort()
            raise
        return connection

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

    def shut_down(self) -> None:
        """Verifications still under way end on their own."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _give_back(self, connection: Connection) -> None:
        if connection.tls_slot:
            connection.tls_slot = False
            self.tls_slots.give()

    def _error(self, target: Target, dcid: int, source: Source, details: str, reason: str) -> None:
        self.logs.event(
            "dcid.error", dcid=dcid, domain=target.domain, ip=target.address, port=target.port, details=details,
            source=source.address, reason=reason,
        )  # fmt: skip

    async def _prepare(self, connection: Connection) -> None:
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
            await self.tls_slots.take()
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
            await wire.start_tls(target.snapshot.outbound_context, target.name)
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
        match policy.decide(Step.READY):
            case Verdict.MATCH:
                self._in_tls(connection, await self._matched(connection, policy))
            case Verdict.VERIFY:
                self._in_tls(connection, await self._verified(connection, policy))
            case _:
                self._in_tls(connection, None)

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

    async def _matched(self, connection: Connection, policy: TlsPolicy) -> tlsa.Match:
        """Errors: Unusable when the certificate is not the one that the records promise."""
        target = connection.target
        ssl_settings = target.snapshot.config.ssl
        peer = tlsa.Peer(
            chain=connection.wire.chain,
            base=target.dane.base,
            domain=target.domain,
            host=target.host,
            anchors=self.anchors(target.snapshot),
            x509_check=ssl_settings.peer_cert_x509,
            fqdn_check=ssl_settings.peer_cert_fqdn,
            now=self.now(),
        )
        work = asyncio.get_running_loop().run_in_executor(self._threads, tlsa.match, target.dane.records, peer)
        try:
            result = await asyncio.wait_for(work, VERIFICATION_SECONDS)
        except TimeoutError:
            result = tlsa.Match(text=f"TLSA records of {target.dane.base}: {TOO_SLOW}")
        if not result.ok:
            self._fail(connection, policy, Step.NOT_MATCHED, result.text)
        return result

    async def _verified(self, connection: Connection, policy: TlsPolicy) -> Result:
        """Errors: Unusable when the level demands more than was found."""
        target = connection.target
        hosted = target.support is TlsSupport.REQUIRED_VERIFY_HOSTED
        label = "SMTP route host" if target.host == target.route_host else ""
        references = [Reference(Kind.DOMAIN, target.domain), Reference(Kind.HOST, target.host, label)]
        if hosted and target.route_host:
            references.append(Reference(Kind.ROUTE, target.route_host))
        chain = connection.wire.chain
        result = await self._verify(target, chain, hosted, references)
        if result.mismatch and not hosted and (name := await self.ptr(target.address)):
            # Asked for only when nothing else matches: a reverse zone that does not answer delays no good connection.
            result = await self._verify(target, chain, hosted, [*references, Reference(Kind.PTR, name)])
        if not result.ok and policy.decide(Step.NOT_VERIFIED) is Verdict.FAIL:
            self._fail(connection, policy, Step.NOT_VERIFIED, result.text, result.short)
        return result

    async def _verify(self, target: Target, chain: list[bytes], hosted: bool, references: list[Reference]) -> Result:
        ssl_settings = target.snapshot.config.ssl
        rules = Rules(hosted=hosted, x509_check=ssl_settings.peer_cert_x509, fqdn_check=ssl_settings.peer_cert_fqdn)
        anchors = self.anchors(target.snapshot)
        work = asyncio.get_running_loop().run_in_executor(self._threads, verify, chain, anchors, rules, references, self.now())
        try:
            return await asyncio.wait_for(work, VERIFICATION_SECONDS)
        except TimeoutError:
            return Result(ok=False, text=TOO_SLOW)

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
        raise Unusable(reason.text(detail), reason, reason.alert(detail if short is None else short))

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

"""The internal SMTP client: mail that does not go through the queue (alertconfig.md 4).

Whatever is suspended, full or demanded of a destination, this mail leaves. Hosts of the route, else mail exchangers, in
order; STARTTLS where it is offered, with nothing verified but what `sslconfig` asks for; when TLS does not come about, a
second connection in clear text. 5xx to MAIL, RCPT, DATA or the final dot ends it, everything else is tried three times.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import Clock
from appliance_runtime.delivery.connection import keywords
from appliance_runtime.delivery.exchangers import HardFailure, Host, addresses_of, hosts_for
from appliance_runtime.delivery.peer_checks import peer_problem
from appliance_runtime.delivery.replies import Reply
from appliance_runtime.delivery.routes import route_for
from appliance_runtime.delivery.transaction import dot_stuffed
from appliance_runtime.delivery.wire import Lost, Wire, connect
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.logs.escaping import quote
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.queue.envelope import destination_domain
from appliance_state.model.destinations import IpSortPref

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver
    from appliance_runtime.snapshot import Snapshot

ATTEMPTS = 3
PAUSE = timedelta(seconds=60)
"""between attempts, on the appliance clock"""
LIMIT = 30.0
"""seconds of real time for each command"""
PARALLEL = 4
OK, GO_AHEAD, TLS_READY = 2, 3, 220
PERMANENT = 500


class NotSent(Exception):
    """The message was given up; the text is the last reason."""


class _Failed(Exception):
    """This host did not take the message."""


class _Refused(_Failed):
    """For good."""


class _TlsFailed(Exception):
    """The connection cannot go on, and clear text may do better."""


class InternalSmtp:
    """Sends single messages. At most four connections at a time; a pause between attempts holds none."""

    def __init__(
        self,
        live: Callable[[], Snapshot],
        logs: EventLog,
        clock: Clock,
        resolver: Resolver,
        address_map: AddressMap,
        *,
        rng: random.Random | None = None,
        net_timeout_scale: float = 1.0,
    ) -> None:
        self._live = live
        self._logs = logs
        self._clock = clock
        self._resolver = resolver
        self._address_map = address_map
        self._rng = rng or random.SystemRandom()
        self._scale = net_timeout_scale
        self._slots = asyncio.Semaphore(PARALLEL)

    async def send(self, sender: str, recipient: str, subject: str, message: bytes) -> None:
        """Returns when a host has taken the message. `sender`: of the envelope. Errors: NotSent after the last attempt."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._clock.sleep_until(self._clock.now() + PAUSE)
            async with self._slots:
                self._logs.event("alert.attempt", address=recipient, subject=subject, attempt=attempt)
                try:
                    await self._attempt(sender, recipient, message)
                except _Failed as failure:
                    reason = str(failure)
                    if isinstance(failure, _Refused):
                        break
                else:
                    self._logs.event("alert.success", address=recipient, subject=subject)
                    return
        self._logs.event("alert.giving_up", address=recipient, subject=subject)
        raise NotSent(reason)

    async def finish(self, seconds: float) -> None:
        """Give connections up to `seconds` to end; no other is opened any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(PARALLEL):
                    await self._slots.acquire()

    async def _attempt(self, sender: str, recipient: str, message: bytes) -> None:
        snapshot = self._live()
        domain = destination_domain(recipient)
        route = route_for(domain, snapshot.config.smtp_routes)
        if route is not None and route.special == "discard":
            return
        failure = _Failed(f"no host takes mail for {domain}")
        try:
            for host in await hosts_for(domain, route, self._resolver, self._rng):
                try:
                    for address in await addresses_of(host, self._resolver, IpSortPref.PREFER_V6):
                        try:
                            await self._deliver(snapshot, host, address, sender, recipient, message)
                            return
                        except _Failed as failed:
                            where = f"[{address}]:{host.port}" if ":" in address else f"{address}:{host.port}"
                            self._logs.event("alert.error", host=where, address=recipient, reason=str(failed))
                            failure = failed
                            if isinstance(failed, _Refused):
                                raise
                except (HardFailure, LookupFailed) as unknown:
                    failure = self._no_address(unknown, host.name, recipient)
        except (HardFailure, LookupFailed) as unknown:
            failure = self._no_address(unknown, domain, recipient)
        raise failure

    def _no_address(self, unknown: HardFailure | LookupFailed, name: str, recipient: str) -> _Failed:
        self._logs.event("alert.error", host=name, address=recipient, reason=str(unknown))
        return _Failed(str(unknown))

    async def _deliver(self, snapshot: Snapshot, host: Host, address: str, sender: str, recipient: str, message: bytes) -> None:
        """Errors: _Failed."""
        try:
            try:
                wire = await self._open(snapshot, host, address, encrypted=True)
            except _TlsFailed:
                self._logs.event("alert.plain_text", address=recipient)
                wire = await self._open(snapshot, host, address, encrypted=False)
            try:
                await _transaction(wire, sender, recipient, message)
                await wire.quit()
            finally:
                wire.close()
        except Lost as lost:
            raise _Failed(str(lost)) from None

    async def _open(self, snapshot: Snapshot, host: Host, address: str, *, encrypted: bool) -> Wire:
        """A connection that is ready for MAIL. Errors: Lost, _Failed, _TlsFailed."""
        wire = await connect(self._address_map.connect(address, host.port), self._scale, None)
        try:
            _expect(await wire.reply(LIMIT), OK)
            name = snapshot.config.system.hostname
            reply = await wire.ask(f"EHLO {name}", LIMIT)
            if not reply.good:
                _expect(await wire.ask(f"HELO {name}", LIMIT), OK)
            elif encrypted and "STARTTLS" in keywords(reply) and (await wire.ask("STARTTLS", LIMIT)).code == TLS_READY:
                await self._secure(wire, snapshot, name, host, address)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _secure(self, wire: Wire, snapshot: Snapshot, name: str, host: Host, address: str) -> None:
        """A peer that rejects our certificate says so only after its part of a TLS 1.3 handshake: EHLO belongs to it."""
        try:
            if wire.pending:
                raise Lost("unexpected data after the STARTTLS response")
            async with asyncio.timeout(LIMIT * self._scale):
                await wire.start_tls(snapshot.other_client_context, None if host.name == address else host.name)
            if not (await wire.ask(f"EHLO {name}", LIMIT)).good:
                raise Lost("EHLO rejected after STARTTLS")
            if problem := peer_problem(wire.chain, snapshot.config.ssl):
                raise Lost(problem)
        except (Lost, TimeoutError) as error:
            raise _TlsFailed from error


async def _transaction(wire: Wire, sender: str, recipient: str, message: bytes) -> None:
    """Errors: Lost, _Failed."""
    _expect(await wire.ask(f"MAIL FROM:<{sender}>", LIMIT), OK, final=True)
    _expect(await wire.ask(f"RCPT TO:<{recipient}>", LIMIT), OK, final=True)
    _expect(await wire.ask("DATA", LIMIT), GO_AHEAD, final=True)
    await wire.send(dot_stuffed(message))
    _expect(await wire.reply(LIMIT), OK, final=True)


def _expect(reply: Reply, kind: int, *, final: bool = False) -> None:
    """Errors: _Failed, and with `final` _Refused for 5xx."""
    if reply.code // 100 != kind:
        lines = ", ".join(map(quote, reply.lines))
        text = f'Unexpected SMTP response "{reply.code}", expecting code starting with "{kind}", response was [{lines}]'
        raise (_Refused if final and reply.code >= PERMANENT else _Failed)(text)

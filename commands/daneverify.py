"""daneverify: whether delivery to a domain would use DANE successfully, by real look-ups and a real connection (tls-tools.md 3).

The verdict is that of DANE Mandatory. Behind an insecure MX record it goes on all the same, to show what Opportunistic finds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import Enum

from attrs import define, evolve, frozen

from appliance_runtime.delivery import tlsa
from appliance_runtime.delivery.connection import Connection, Unusable
from appliance_runtime.delivery.dane import HostDane, bases
from appliance_runtime.delivery.exchangers import HardFailure, Host, HostProblem, Walk
from appliance_runtime.delivery.peer_names import is_address
from appliance_runtime.delivery.probe import Probe
from appliance_runtime.delivery.routes import in_turn, route_for
from appliance_runtime.delivery.tls_policy import DaneState, Reason
from appliance_runtime.dns.answers import AddressAnswer, LookupFailed, Security
from appliance_runtime.sessions import Session
from appliance_state.model.destinations import TlsSupport
from appliance_state.model.dns import DnssecMode
from commands.answers import domain as domain_name
from commands.answers import port as port_number
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.probing import probing, say_session, system_text
from commands.registry import Command

DOMAIN_QUESTION = "Enter the DANE domain to verify against:"
DETAILS_QUESTION = "Do you want to display the TLSA records and how they compare?"
NO_DNSSEC = "NOTE: DNSSEC is not available with the present DNS settings (see dnsconfig)."
PROCEEDING = "INSECURE MX record found. The command will still proceed."
CHECKING = "Checking TLS connection."
COMPLETED = "DANE verification completed."


@frozen(kw_only=True)
class Wanted:
    """`port`: instead of that of the host; `pending`: as the pending configuration would have it."""

    domain: str
    details: bool = False
    port: int | None = None
    pending: bool = False


async def daneverify(talk: Conversation, session: Session) -> None:
    domain = await talk.select(DOMAIN_QUESTION, domain_name, key="domain")
    details = await talk.confirm(DETAILS_QUESTION, key="details", default=False)
    talk.gap()
    await _verify(talk, session, Wanted(domain=domain, details=details))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=("port",), flags=("details", "pending"))
    domain = domain_name(args.word("domain"))
    args.end()
    port = port_number(options["port"]) if "port" in options else None
    await _verify(talk, session, Wanted(domain=domain, details="details" in options, port=port, pending="pending" in options))


async def _verify(talk: Conversation, session: Session, wanted: Wanted) -> None:
    succeeded = False
    talk.unrecorded = 0  # Ctrl-C is a way out that loses nothing
    async with probing(talk, session, pending=wanted.pending) as probe:
        if probe.snapshot.config.dns.dnssec_mode is DnssecMode.OFF:
            talk.say(NO_DNSSEC)
        succeeded = await _Look(talk, probe, wanted, probe.walk(wanted.domain)).run()
    talk.say(f"DANE {'SUCCESS' if succeeded else 'FAILED'} for {wanted.domain}")
    talk.say(COMPLETED)
    talk.failed = talk.failed or not succeeded


class Finding(Enum):
    """What follows from one connection."""

    MATCH = "the host is the one that its records promise"
    NEXT_ADDRESS = "another address may do better"
    NEXT_HOST = "no address of this host can do better"


@define
class _Look:
    """One pass over the hosts of a domain, with a line for every finding."""

    talk: Conversation
    probe: Probe
    wanted: Wanted
    walk: Walk
    proceeding: bool = False
    """that it goes on behind an insecure MX record has been said"""

    @property
    def domain(self) -> str:
        return self.wanted.domain

    async def run(self) -> bool:
        """Whether a host matches that DANE Mandatory would use."""
        first = True
        async with aclosing(self._hosts()) as hosts:
            async for host in hosts:
                if not first:
                    self.talk.say(f"Trying next MX record in {self.domain}")
                first = False
                if await self._host(host):
                    return self._verdict(host)
        return False

    def _verdict(self, host: Host) -> bool:
        """Of a host that matches."""
        if host.insecure_mx:
            uses = "DANE Opportunistic uses this host, DANE Mandatory does not"
            self.talk.say(f"The MX record of {host.insecure_mx} is insecure: {uses}.")
        return not host.insecure_mx

    # -- hosts ----------------------------------------------------------------------------------------------------------

    async def _hosts(self) -> AsyncGenerator[Host, None]:
        """As delivery would try them."""
        route = route_for(self.domain, self.probe.snapshot.config.smtp_routes)
        if route is None or route.special == "usedns":
            try:
                hosts = await self.walk.hosts()
            except (LookupFailed, HardFailure) as failure:
                self._say_no_host(self.domain, failure)
                return
            for host in hosts:
                yield self._with_port(host)
            return
        if route.special == "discard":
            self.talk.say(f"DANE is not possible for {self.domain}: the SMTP route discards its mail.")
            return
        for entry in in_turn(route.hosts, 0):
            if is_address(entry.host):
                self.talk.say(f"DANE is not possible for {self.domain}: the SMTP route leads to the address {entry.host}.")
                continue
            found = await self.walk.of_route(entry)
            if isinstance(found, HostProblem):
                self._say_no_host(entry.host, found.failed or HardFailure("", found.text))
                continue
            for host in found:
                yield self._with_port(host)

    def _with_port(self, host: Host) -> Host:
        return host if self.wanted.port is None else evolve(host, port=self.wanted.port)

    def _say_no_host(self, name: str, failure: LookupFailed | HardFailure) -> None:
        if isinstance(failure, LookupFailed):
            self.talk.say(f"BOGUS MX record found for {name}" if failure.bogus else f"MX lookup for {name} failed: {failure.failure}")
            return
        match failure.lookup[2] if failure.lookup else "":
            case "NullMX":
                self.talk.say(f"The domain {name} does not accept mail (null MX).")
            case "NXDomain":
                self.talk.say(f"The domain {name} does not exist.")
            case _:
                self.talk.say(str(failure))

    async def _host(self, host: Host) -> bool:
        """Whether one of its addresses shows a certificate that the TLSA records hold."""
        self._say_mx(host)
        place = f"MX({host.name}) in {self.domain}"
        ((_, answer),) = await self.walk.addresses([host])
        if isinstance(answer, LookupFailed):
            failed = f"{answer.kind} lookup for {place} failed: {answer.failure}"
            self.talk.say(f"BOGUS {answer.kind} record found for {place}" if answer.bogus else failed)
            return False
        if not answer.addresses:
            self.talk.say(f"No A record found for {place}")
            return False
        if not bases(host.name, answer):
            self._say_address("INSECURE", answer.addresses[0], place)
            return False
        for position, address in enumerate(answer.secure_addresses or answer.addresses):
            if position:
                self.talk.say(f"Trying next {_kind(address)} record ({address}) for {place}")
            if answer.security is Security.SECURE:
                self._say_address("SECURE", address, place)
            else:
                self._say_address("INSECURE", address, place)
                self.talk.say(f"SECURE CNAME record found for {place}")
            finding = await self._address(host, answer, address)
            if finding is not Finding.NEXT_ADDRESS:
                return finding is Finding.MATCH
        return False

    # -- one connection -------------------------------------------------------------------------------------------------

    async def _address(self, host: Host, answer: AddressAnswer, address: str) -> Finding:
        self.talk.say(f"Connecting to {address} on port {host.port}.")
        connected = False
        try:
            async with self.probe.connection(self.domain, host.name, address, host.port, TlsSupport.PREFERRED) as connection:
                connected = True
                self.talk.say(f"Connected to {address} from interface {connection.source.address}.")
                dane = await self.walk.dane_of(host, answer)
                self._say_tlsa(host, dane)
                if dane.state is not DaneState.USABLE:
                    if self.wanted.details:
                        self._say_records(dane, None)
                    connection.wire.abort()
                    return Finding.NEXT_HOST
                connection.target = evolve(connection.target, dane=dane)
                await self._authenticate(connection, dane)
        except Unusable as failure:
            self._say_failure(failure, address, connected=connected)
            return Finding.NEXT_ADDRESS
        self.talk.say(f"TLS connection succeeded {self.domain}.")
        return Finding.MATCH

    async def _authenticate(self, connection: Connection, dane: HostDane) -> None:
        """Errors: Unusable."""
        opener = self.probe.opener
        if self.wanted.details:
            # How the records compare stands above the handshake that tells it.
            try:
                await opener.encrypt(connection)
            except Unusable:
                self._say_records(dane, None)
                self.talk.say(CHECKING)
                raise
            self._say_records(dane, await self.probe.authentication.outcomes(connection.target, connection.wire.chain))
            self.talk.say(CHECKING)
        else:
            self.talk.say(CHECKING)
            await opener.encrypt(connection)
        say_session(self.talk, connection)
        await opener.authenticate(connection)
        self.talk.say("Certificate verification successful")

    # -- lines ----------------------------------------------------------------------------------------------------------

    def _say_mx(self, host: Host) -> None:
        security = "INSECURE" if host.insecure_mx else "SECURE"
        if not host.implicit:
            self.talk.say(f"{security} MX record({host.name}) found for {host.route_host or self.domain}")
        elif host.route_host is None:
            self.talk.say(f"No MX record found for {self.domain} ({security}). The domain itself is used as host.")
        if host.insecure_mx and not self.proceeding:
            self.proceeding = True
            self.talk.say(PROCEEDING)

    def _say_address(self, security: str, address: str, place: str) -> None:
        self.talk.say(f"{security} {_kind(address)} record ({address}) found for {place}")

    def _say_tlsa(self, host: Host, dane: HostDane) -> None:
        place = f"MX({host.name}) in {self.domain}"
        match dane.state:
            case DaneState.USABLE:
                self.talk.say(f"SECURE TLSA record found for {place}")
            case DaneState.UNUSABLE:
                self.talk.say(f"TLSA records of {place} are unusable")
            case DaneState.ABSENT:
                self.talk.say(f"No TLSA record found for MX({host.name})")
            case DaneState.LOOKUP_FAILED if dane.what != "bogus":
                self.talk.say(f"TLSA lookup for {place} failed: {dane.what}")
            case DaneState.LOOKUP_FAILED:
                self.talk.say(f"BOGUS TLSA record found for {place}")
            case _:
                self.talk.say(f"INSECURE TLSA record found for {place}")

    def _say_records(self, dane: HostDane, outcomes: Sequence[tlsa.Outcome] | None) -> None:
        """`outcomes` None: there was nothing to compare the records with."""
        found = {outcome.record: outcome for outcome in outcomes or ()}
        counting = tlsa.counting(dane.published)
        for record in dane.published:
            outcome = found.get(record)
            if not tlsa.usable(record):
                verdict = "unusable"
            elif record not in counting:
                verdict = "not used, a stronger digest is published"
            elif outcome is None:
                verdict = "not compared"
            elif outcome.problem and outcome.matches:
                verdict = f"match, but {outcome.problem}"
            else:
                verdict = "match" if outcome.matches else "no match"
            self.talk.say(f"{tlsa.shown(record)}: {verdict}{tlsa.discouraged(record)}")

    def _say_failure(self, failure: Unusable, address: str, *, connected: bool) -> None:
        if not connected:
            self.talk.say(f"Failed to connect to {address}: {system_text(failure)}.")
        elif failure.reason is Reason.DANE:
            self.talk.say(f"Certificate verification failed: {failure.detail}")
            self.talk.say(f"TLS connection failed {self.domain}: verify error.")
        else:
            self.talk.say(f"TLS connection failed {self.domain}: {failure.text}.")


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"


COMMAND = Command(
    "daneverify",
    "Verify DANE support for a domain.",
    dialog=daneverify,
    batch=_batch,
    usage="daneverify <domain> [--details] [--port=<n>] [--pending]",
)

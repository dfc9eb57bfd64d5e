"""tlsverify: a real connection to one host, judged as Required - Verify would judge it (tls-tools.md 2).

Steps are those of delivery, each with its line as it happens. No MAIL command is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from cryptography import x509

from appliance_runtime.clock import long_date
from appliance_runtime.delivery.connection import Connection, Unusable
from appliance_runtime.delivery.exchangers import HardFailure, Host, addresses_of
from appliance_runtime.delivery.peer_checks import UNREADABLE
from appliance_runtime.delivery.peer_names import is_address, presented_names
from appliance_runtime.delivery.probe import Probe
from appliance_runtime.delivery.tls_policy import Reason
from appliance_runtime.delivery.verify import MAX_CERTIFICATES, Result
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.logs.escaping import escape
from appliance_runtime.sessions import Session
from appliance_state.certificates.facts import facts_of
from appliance_state.model.destinations import TlsSupport
from commands.answers import domain as domain_name
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.probing import SMTP_PORT, host_and_port, probing, say_session, system_text
from commands.registry import Command

DOMAIN_QUESTION = "Enter the TLS domain to verify against:"
HOST_QUESTION = """\
Enter the destination host to connect to.  Append the port (example.com:26) if you
are not connecting on port 25:"""
COMPLETED = "TLS verification completed."


@frozen(kw_only=True)
class Wanted:
    """`hosted`: the rule of level 6; `chain`: show what the peer sends; `pending`: as the pending configuration would have it."""

    domain: str
    host: str
    port: int = SMTP_PORT
    hosted: bool = False
    chain: bool = False
    pending: bool = False

    @property
    def support(self) -> TlsSupport:
        return TlsSupport.REQUIRED_VERIFY_HOSTED if self.hosted else TlsSupport.REQUIRED_VERIFY


async def tlsverify(talk: Conversation, session: Session) -> None:
    domain = await talk.select(DOMAIN_QUESTION, domain_name, key="domain")
    host, port = await talk.ask(HOST_QUESTION, host_and_port, key="host", default=(domain, SMTP_PORT), shown=domain)
    talk.gap()
    await _verify(talk, session, Wanted(domain=domain, host=host, port=port))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(flags=("hosted", "chain", "pending"))
    domain = domain_name(args.word("domain"))
    host, port = host_and_port(args.word("host"))
    args.end()
    await _verify(talk, session, Wanted(domain=domain, host=host, port=port, **{name: True for name in options}))


async def _verify(talk: Conversation, session: Session, wanted: Wanted) -> None:
    verified = False
    talk.unrecorded = 0  # Ctrl-C is a way out that loses nothing
    async with probing(talk, session, pending=wanted.pending) as probe:
        for address in await _addresses(talk, probe, wanted):
            if verified := await _try(talk, session, probe, wanted, address):
                break
    talk.say("")
    if verified:
        talk.say(f"TLS successfully connected to {wanted.host}.")
    else:
        talk.say(f"TLS connection to {wanted.host} failed.")
    talk.say(COMPLETED)
    talk.failed = talk.failed or not verified


async def _addresses(talk: Conversation, probe: Probe, wanted: Wanted) -> Sequence[str]:
    """The host's own; no MX record and no route is asked. None: says why."""
    host = Host(name=wanted.host, address=wanted.host if is_address(wanted.host) else None)
    try:
        return await addresses_of(host, probe.resolver, probe.preference(wanted.domain))
    except LookupFailed as failed:
        failure: str = failed.failure
    except HardFailure as hard:
        assert hard.lookup is not None
        failure = hard.lookup[2]
    talk.say(f"Failed to resolve {wanted.host}: {failure}.")
    return ()


async def _try(talk: Conversation, session: Session, probe: Probe, wanted: Wanted, address: str) -> bool:
    """One address; every step has its line when it happens."""
    talk.say(f"Connecting to {address} on port {wanted.port}.")
    connected = False
    try:
        async with probe.connection(wanted.domain, wanted.host, address, wanted.port, wanted.support) as connection:
            connected = True
            talk.say(f"Connected to {address} from interface {connection.source.address}.")
            talk.say("Checking TLS connection.")
            await probe.opener.encrypt(connection)
            say_session(talk, connection)
            if wanted.chain:
                _show_chain(talk, session, connection.wire.chain)
            talk.say("Verifying peer certificate.")
            _say_common_name(talk, connection)
            result = await probe.opener.authenticate(connection)
            assert isinstance(result, Result)
            talk.say(f"TLS certificate match {result.matched}")
            talk.say("TLS certificate verified.")
    except Unusable as failure:
        _say_failure(talk, failure, address, connected=connected)
        return False
    talk.say(f"TLS connection to {address} succeeded.")
    return True


def _say_failure(talk: Conversation, failure: Unusable, address: str, *, connected: bool) -> None:
    if not connected:
        talk.say(f"Failed to connect to {address}: {system_text(failure)}.")
    elif failure.reason is Reason.VERIFY:
        talk.say(f"Certificate verification error: {failure.detail}.")
        talk.say("TLS certificate not verified.")
        talk.say(f"TLS connection to {address} failed: verify error.")
    else:
        talk.say(f"TLS connection to {address} failed: {failure.text}.")


def _say_common_name(talk: Conversation, connection: Connection) -> None:
    try:
        names = presented_names(x509.load_der_x509_certificate(connection.wire.chain[0]))
    except (*UNREADABLE, IndexError):
        return
    if names.common_name is not None:
        talk.say(f"Verifying certificate common name {escape(names.common_name)}.")


def _show_chain(talk: Conversation, session: Session, chain: Sequence[bytes]) -> None:
    """What the peer sent, its own certificate first."""
    timezone = session.appliance.running()[1].system.timezone
    for number, certificate in enumerate(chain[:MAX_CERTIFICATES], start=1):
        try:
            facts = facts_of(x509.load_der_x509_certificate(certificate))
        except UNREADABLE:
            talk.say(f"Certificate {number}: (cannot be read)")
            continue
        talk.say(f"Certificate {number}: {facts.subject}")
        for label, value in (
            ("Issued By", facts.issuer),
            ("Valid Until", long_date(facts.not_after, timezone)),
            ("DNS Names", ", ".join(facts.dns_names) or "-"),
            ("Key", facts.key),
            ("SHA-256", facts.sha256),
        ):
            talk.say(f"  {label + ':':<14}{value}")


COMMAND = Command(
    "tlsverify",
    "Establish an outbound TLS connection on demand and verify the certificate.",
    dialog=tlsverify,
    batch=_batch,
    usage="tlsverify <domain> <host>[:<port>] [--hosted] [--chain] [--pending]",
)

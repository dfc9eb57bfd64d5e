"""DANE for a host: what DNS says of it, and what a destination makes of that (RFC 7672 2; delivery.md 7.1 to 7.3, 7.5).

A host is in one of the states of delivery.md 7.2. A state that is no promise of TLS leaves the decision to the TLS level
under Opportunistic, and keeps Mandatory from connecting. The question is asked of a function, so that this module decides
over values only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import evolve, frozen

from appliance_runtime.delivery.tls_policy import DaneState
from appliance_runtime.delivery.tlsa import usable
from appliance_runtime.dns.answers import AddressAnswer, Security, Tlsa, TlsaAnswer, TlsaStatus
from appliance_state.model.destinations import DaneSupport

AskTlsa = Callable[[str], Awaitable[TlsaAnswer]]

_FAILURES: dict[TlsaStatus, str] = {"bogus": "bogus", "servfail": "ServFail", "refused": "Refused", "timeout": "Timeout"}
MANDATORY_SKIPPED = "DANE is mandatory and not available"
"""in the alert about required TLS, for every host that was skipped"""


@frozen(kw_only=True)
class HostDane:
    """What DNS says of a host.

    `base`: the name below which the records are, which is also the name asked for in the handshake; `published`: all of
    them, usable or not; `insecure_mx`: owner of the insecure MX record that led to the host, empty if none did.
    """

    state: DaneState = DaneState.OFF
    base: str = ""
    published: tuple[Tlsa, ...] = ()
    what: str = ""
    """of an insecure answer its type, of a failed one how it failed, of an impossible one the address"""
    insecure_mx: str = ""

    @property
    def records(self) -> tuple[Tlsa, ...]:
        """Those that can be compared with a certificate."""
        return tuple(record for record in self.published if usable(record))


OFF = HostDane()


@frozen(kw_only=True)
class Decision:
    """`skipped`: text after `DANE error: ` of a host that gets no connection; `alert`: its text in the alert about DANE.

    `not_used`: text of the line about a host for which Opportunistic does without DANE. All empty = go on.
    """

    skipped: str = ""
    alert: str = ""
    not_used: str = ""


def impossible(address: str) -> HostDane:
    """A host without a name."""
    return HostDane(state=DaneState.IMPOSSIBLE, what=address)


def owner_name(base: str, port: int) -> str:
    """Where the records of a service are (RFC 6698 3)."""
    return f"_{port}._tcp.{base}"


def bases(host: str, addresses: AddressAnswer) -> tuple[str, ...]:
    """The names below which TLSA records may be, in the order in which they are asked for; none = the address is insecure.

    Of an alias whose whole chain is secure first the name at its end (RFC 7672 2.2.2). Of one that leads into an unsigned
    zone only the alias itself, which its own zone vouches for.
    """
    if addresses.security is Security.SECURE:
        return tuple(dict.fromkeys((addresses.canonical_name or host, host)))
    return (host,) if addresses.alias is Security.SECURE else ()


def state_of(base: str, answer: TlsaAnswer) -> HostDane:
    """The state that an answer to the TLSA question leads to (rows 1 to 5)."""
    if answer.status in _FAILURES:
        return HostDane(state=DaneState.LOOKUP_FAILED, base=base, what=_FAILURES[answer.status])
    if answer.security is not Security.SECURE:
        return HostDane(state=DaneState.INSECURE, base=base, what="TLSA")
    if not answer.records:
        return HostDane(state=DaneState.ABSENT, base=base)
    state = DaneState.USABLE if any(map(usable, answer.records)) else DaneState.UNUSABLE
    return HostDane(state=state, base=base, published=answer.records)


async def look_up(
    host: str, port: int, addresses: AddressAnswer, ask: AskTlsa, *, insecure_mx: str = "", support: DaneSupport = DaneSupport.OPPORTUNISTIC
) -> HostDane:
    """The state of a host whose address is known (rows 1 to 8a). Records that Mandatory would not use are not asked for."""
    names = bases(host, addresses)
    if not names:
        return HostDane(state=DaneState.INSECURE, what="A", insecure_mx=insecure_mx)
    found = HostDane(state=DaneState.INSECURE, insecure_mx=insecure_mx)
    if insecure_mx and support is DaneSupport.MANDATORY:
        return found
    for base in names:
        found = evolve(state_of(base, await ask(owner_name(base, port))), insecure_mx=insecure_mx)
        if found.state is not DaneState.ABSENT:
            break
    return found


def decide(dane: HostDane, support: DaneSupport, *, host: str, domain: str) -> Decision:
    """What a destination makes of a host (delivery.md 7.3)."""
    if dane.state is DaneState.OFF or support is DaneSupport.NO:
        return Decision()
    if dane.insecure_mx and support is DaneSupport.MANDATORY:
        return Decision(skipped=f"non DNSSEC destination {dane.insecure_mx}, host {host} skipped", alert="insecure MX record")
    match dane.state:
        case DaneState.USABLE:
            return Decision()
        case DaneState.UNUSABLE if support is DaneSupport.OPPORTUNISTIC:
            return Decision()
        case DaneState.UNUSABLE:
            return Decision(skipped=f"TLSA records of {host} ({domain}) are unusable, host skipped", alert="TLSA records are unusable")
        case DaneState.LOOKUP_FAILED:
            return Decision(
                skipped=f"TLSA lookup for {host} ({domain}) failed: {dane.what}, host skipped", alert=f"TLSA lookup failed ({dane.what})"
            )
        case DaneState.ABSENT:
            text, alert = f"no TLSA record for {host} ({domain})", "no TLSA record"
        case DaneState.IMPOSSIBLE:
            text, alert = f"route to address {dane.what} for {domain}", "route to an address"
        case _:
            text, alert = f"insecure {dane.what} record for {host} ({domain})", f"insecure {dane.what} record"
    if support is DaneSupport.OPPORTUNISTIC:
        return Decision(not_used=text)
    return Decision(skipped=f"{text}, host skipped", alert=alert)

"""The hosts that take the mail of a domain, and their addresses, in the order in which they are tried (delivery.md 2.2).

Hosts come in ranks of equal preference. Addresses, and TLSA records where a destination wants DANE, are looked up rank by
rank, so that a name server of a spare host that does not answer delays nothing while the first one takes the mail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, frozen

from appliance_runtime.delivery.dane import OFF, HostDane, decide, impossible, look_up
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.peer_names import is_address
from appliance_runtime.delivery.routes import in_turn
from appliance_runtime.dns.answers import AddressAnswer, LookupFailed, MxAnswer, Security
from appliance_state.model import Config
from appliance_state.model.destinations import DaneSupport, IpSortPref
from appliance_state.model.routes import RouteHost, SmtpRoute

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver

SMTP_PORT = 25
T = TypeVar("T")


class HardFailure(Exception):
    """No host will ever take this mail: bounce at once. `lookup`: name, type and absence of the look-up that says so."""

    def __init__(self, status: str, text: str, lookup: tuple[str, str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.lookup = lookup

    @classmethod
    def of_lookup(cls, name: str, kind: str, absence: str) -> HardFailure:
        return cls("5.1.2", f"DNS Hard Error looking up {name} ({kind}):  {absence}", (name, kind, absence))

    @property
    def failure(self) -> Failure:
        return Failure.own(self.status, str(self), lookup=self.lookup)


@frozen(kw_only=True)
class Host:
    """A host to be tried. `address`: fixed, no look-up; `route_host`: name in the route that led here; `rank`: equal = no order.

    `insecure_mx`: owner of the MX record that led here, if DNSSEC does not vouch for it (known only where DANE is wanted);
    `implicit`: no MX record led here.
    """

    name: str
    port: int = SMTP_PORT
    address: str | None = None
    route_host: str | None = None
    rank: int = 0
    insecure_mx: str = ""
    implicit: bool = False


@frozen(kw_only=True)
class Candidate:
    """An address to be tried. Logical address and port. `not_used`: why DANE, which was wanted, is done without here."""

    host: Host
    address: str
    dane: HostDane = OFF
    not_used: str = ""

    @property
    def place(self) -> tuple[str, int]:
        return self.address, self.host.port


@frozen(kw_only=True)
class Skipped:
    """A host that gets no connection for what DNS says about DANE. `address`: its first one.

    `text`: after `DANE error: ` in the log; `alert`: its text in the alert about DANE.
    """

    host: Host
    address: str
    text: str
    alert: str


@frozen(kw_only=True)
class HostProblem:
    """A host of which no address is known. `failed`: the look-up that got no answer."""

    name: str
    text: str
    failed: LookupFailed | None = None


def literal(domain: str) -> str | None:
    """The address of a domain literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`."""
    inner = domain[1:-1] if domain.startswith("[") and domain.endswith("]") else ""
    inner = inner[5:] if inner.lower().startswith("ipv6:") else inner
    return inner if is_address(inner) else None


def own_addresses(config: Config) -> frozenset[str]:
    """Addresses at which a listener of this appliance takes mail on port 25."""
    interfaces = (config.interfaces.get(one.interface) for one in config.listeners.entries() if one.port == SMTP_PORT)
    return frozenset(address for interface in interfaces if interface for address in interface.addresses)


async def hosts_for(domain: str, route: SmtpRoute | None, resolver: Resolver, rng: random.Random, turn: int = 0) -> list[Host]:
    """All hosts in order, without their addresses and without DANE. Errors: HardFailure, LookupFailed."""
    walk = Walk(domain, resolver, rng, IpSortPref.PREFER_V6, DaneSupport.NO)
    if literal(domain) is not None or route is None or route.special == "usedns":
        return await walk.hosts()
    hosts: list[Host] = []
    for entry in in_turn(route.hosts, turn):
        found = await walk.of_route(entry)
        hosts += found if isinstance(found, list) else []
    return hosts


async def addresses_of(host: Host, resolver: Resolver, preference: IpSortPref) -> tuple[str, ...]:
    """In the order of the preference. Errors: LookupFailed; HardFailure when the host has none."""
    if host.address is not None:
        return (host.address,)
    answer = await resolver.addresses(host.name, preference)
    if not answer.addresses:
        raise HardFailure.of_lookup(host.name, "A", answer.absence)
    return answer.addresses


async def candidates(
    domain: str,
    route: SmtpRoute | None,
    resolver: Resolver,
    rng: random.Random,
    *,
    preference: IpSortPref,
    own: frozenset[str],
    turn: int,
    dane: DaneSupport = DaneSupport.NO,
) -> AsyncGenerator[Candidate | HostProblem | Skipped, None]:
    """Everything that may be tried, in order. Errors: LookupFailed (the attempt ends), HardFailure (bounce at once)."""
    walk = Walk(domain, resolver, rng, preference, dane)
    if literal(domain) is None and route is not None and route.special != "usedns":
        async with aclosing(walk.routed(route, turn)) as steps:
            async for step in steps:
                yield step
        return
    missing: HardFailure | None = None
    hopeful = False
    for _, rank in groupby(await walk.hosts(), key=lambda host: host.rank):
        found: list[tuple[Host, AddressAnswer]] = []
        problems: list[HostProblem] = []
        for host, answer in await walk.addresses(list(rank)):
            if isinstance(answer, LookupFailed):
                problems.append(HostProblem(name=host.name, text=str(answer), failed=answer))
            elif answer.addresses:
                found.append((host, answer))
            else:
                missing = HardFailure.of_lookup(host.name, "A", answer.absence)
        if any(host.port == SMTP_PORT and own & set(answer.addresses) for host, answer in found):
            # This appliance is in the list: only better hosts than itself may be asked (RFC 5321 5.1).
            if not hopeful:
                raise HardFailure("5.4.6", f"Mail for {domain} loops back to this system")
            return
        hopeful = hopeful or bool(found or problems)
        for problem in problems:
            yield problem
        for step in await walk.steps(found):
            yield step
    if not hopeful and missing is not None:
        raise missing


@frozen
class Walk:
    """The look-ups on the way to the hosts of one destination domain. Probes take its steps one by one."""

    domain: str
    resolver: Resolver
    rng: random.Random
    preference: IpSortPref
    dane: DaneSupport

    @property
    def dnssec(self) -> bool:
        return self.dane is not DaneSupport.NO

    async def hosts(self) -> list[Host]:
        """All hosts in order, without their addresses. Errors: HardFailure, LookupFailed."""
        if (address := literal(self.domain)) is not None:
            return [Host(name=address, address=address)]
        return self._exchangers(self.domain, await self.resolver.mx(self.domain, dnssec=self.dnssec))

    async def routed(self, route: SmtpRoute, turn: int) -> AsyncGenerator[Candidate | HostProblem | Skipped, None]:
        """Hosts of a route. When none can be reached the mail waits, whatever DNS says of them."""
        for entry in in_turn(route.hosts, turn):
            hosts = await self.of_route(entry)
            if isinstance(hosts, HostProblem):
                yield hosts
                continue
            for host, answer in await self.addresses(hosts):
                if isinstance(answer, LookupFailed):
                    yield HostProblem(name=host.name, text=str(answer), failed=answer)
                elif not answer.addresses:
                    yield HostProblem(name=host.name, text=str(HardFailure.of_lookup(host.name, "A", answer.absence)))
                else:
                    for step in await self.steps([(host, answer)]):
                        yield step

    async def addresses(self, hosts: Sequence[Host]) -> list[tuple[Host, AddressAnswer | LookupFailed]]:
        async def look(host: Host) -> AddressAnswer | LookupFailed:
            if host.address is not None:
                return AddressAnswer(addresses=(host.address,))
            try:
                return await self.resolver.addresses(host.name, self.preference, dnssec=self.dnssec)
            except LookupFailed as failed:
                return failed

        return list(zip(hosts, await _together([look(host) for host in hosts]), strict=True))

    async def steps(self, found: Sequence[tuple[Host, AddressAnswer]]) -> list[Candidate | Skipped]:
        """What is to be done with hosts whose addresses are known."""
        states = await _together([self.dane_of(host, answer) for host, answer in found])
        steps: list[Candidate | Skipped] = []
        for (host, answer), dane in zip(found, states, strict=True):
            decision = decide(dane, self.dane, host=host.name, domain=self.domain)
            if decision.skipped:
                steps.append(Skipped(host=host, address=answer.addresses[0], text=decision.skipped, alert=decision.alert))
                continue
            # Where records vouch for the host, so must the address that leads to it.
            usable = answer.secure_addresses if dane.state.demands_tls and answer.secure_addresses else answer.addresses
            steps += [Candidate(host=host, address=address, dane=dane, not_used=decision.not_used) for address in usable]
        return steps

    async def dane_of(self, host: Host, answer: AddressAnswer) -> HostDane:
        """The state of a host whose addresses are known."""
        if not self.dnssec:
            return OFF
        if host.address is not None:
            return impossible(host.address)
        return await look_up(host.name, host.port, answer, self.resolver.tlsa, insecure_mx=host.insecure_mx, support=self.dane)

    async def of_route(self, entry: RouteHost) -> list[Host] | HostProblem:
        """The hosts that an entry of a route stands for."""
        name = entry.host
        if is_address(name):
            return [Host(name=name, port=entry.port, address=name, rank=entry.priority)]
        if entry.force_address:
            return [Host(name=name, port=entry.port, route_host=name, rank=entry.priority, implicit=True)]
        try:
            answer = await self.resolver.mx(name, dnssec=self.dnssec)
            hosts = self._exchangers(name, answer)
        except LookupFailed as failed:
            return HostProblem(name=name, text=str(failed), failed=failed)
        except HardFailure as failure:
            return HostProblem(name=name, text=str(failure))
        # That the host of a route has no MX record needs no proof: the operator named it.
        insecure_mx = hosts[0].insecure_mx if answer.exchangers and hosts else ""
        return [evolve(host, port=entry.port, route_host=name, rank=entry.priority, insecure_mx=insecure_mx) for host in hosts]

    def _exchangers(self, owner: str, answer: MxAnswer) -> list[Host]:
        """Errors: HardFailure."""
        if answer.null:
            raise HardFailure.of_lookup(owner, "MX", "NullMX")
        if answer.absence == "NXDomain":
            raise HardFailure.of_lookup(owner, "MX", "NXDomain")
        insecure_mx = owner if self.dnssec and answer.security is not Security.SECURE else ""
        if not answer.exchangers:
            return [Host(name=owner, insecure_mx=insecure_mx, implicit=True)]
        order = [(one.preference, self.rng.random(), one.host) for one in answer.exchangers if one.host]
        return [Host(name=host, rank=preference, insecure_mx=insecure_mx) for preference, _, host in sorted(order)]


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once; what is alone needs no task for it."""
    return [await work[0]] if len(work) == 1 else await asyncio.gather(*work)

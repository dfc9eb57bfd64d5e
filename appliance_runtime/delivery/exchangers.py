"""The hosts that take the mail of a domain, and their addresses, in the order in which they are tried (delivery.md 2.2).

Hosts come in ranks of equal preference. Addresses are looked up rank by rank, so that a name server of a spare host that
does not answer delays nothing while the first one takes the mail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from itertools import groupby

from attrs import evolve, frozen

from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.peer_names import is_address
from appliance_runtime.delivery.routes import in_turn, route_for
from appliance_runtime.dns.answers import AddressAnswer, LookupFailed, MxAnswer
from appliance_runtime.dns.resolver import Resolver
from appliance_state.model import Config
from appliance_state.model.destinations import IpSortPref
from appliance_state.model.routes import RouteHost, SmtpRoute

__all__ = ["Candidate", "HardFailure", "Host", "HostProblem", "addresses_of", "candidates", "hosts_for", "own_addresses", "route_for"]

SMTP_PORT = 25


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
    """A host to be tried. `address`: fixed, no look-up; `route_host`: name in the route that led here; `rank`: equal = no order."""

    name: str
    port: int = SMTP_PORT
    address: str | None = None
    route_host: str | None = None
    rank: int = 0


@frozen(kw_only=True)
class Candidate:
    """An address to be tried. Logical address and port."""

    host: Host
    address: str

    @property
    def place(self) -> tuple[str, int]:
        return self.address, self.host.port


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
    """All hosts in order, without their addresses. Errors: HardFailure, LookupFailed."""
    if (address := literal(domain)) is not None:
        return [Host(name=address, address=address)]
    if route is None or route.special == "usedns":
        return _exchangers(domain, await resolver.mx(domain), rng)
    hosts: list[Host] = []
    for entry in in_turn(route.hosts, turn):
        found = await _of_route(entry, resolver, rng)
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
) -> AsyncGenerator[Candidate | HostProblem, None]:
    """Everything that may be tried, in order. Errors: LookupFailed (the attempt ends), HardFailure (bounce at once)."""
    if literal(domain) is None and route is not None and route.special != "usedns":
        async for candidate in _routed(route, resolver, rng, preference, turn):
            yield candidate
        return
    hosts = await hosts_for(domain, None, resolver, rng)
    missing: HardFailure | None = None
    hopeful = False
    for _, rank in groupby(hosts, key=lambda host: host.rank):
        found: list[Candidate | HostProblem] = []
        for host, answer in await _addresses(list(rank), resolver, preference):
            if isinstance(answer, LookupFailed):
                found.append(HostProblem(name=host.name, text=str(answer), failed=answer))
            elif answer.addresses:
                found += [Candidate(host=host, address=address) for address in answer.addresses]
            else:
                missing = HardFailure.of_lookup(host.name, "A", answer.absence)
        if any(isinstance(one, Candidate) and one.address in own and one.host.port == SMTP_PORT for one in found):
            # This appliance is in the list: only better hosts than itself may be asked (RFC 5321 5.1).
            if not hopeful:
                raise HardFailure("5.4.6", f"Mail for {domain} loops back to this system")
            return
        hopeful = hopeful or bool(found)
        for one in found:
            yield one
    if not hopeful and missing is not None:
        raise missing


async def _routed(
    route: SmtpRoute, resolver: Resolver, rng: random.Random, preference: IpSortPref, turn: int
) -> AsyncGenerator[Candidate | HostProblem, None]:
    """Hosts of a route. When none can be reached the mail waits, whatever DNS says of them."""
    for entry in in_turn(route.hosts, turn):
        hosts = await _of_route(entry, resolver, rng)
        if isinstance(hosts, HostProblem):
            yield hosts
            continue
        for host, answer in await _addresses(hosts, resolver, preference):
            if isinstance(answer, LookupFailed):
                yield HostProblem(name=host.name, text=str(answer), failed=answer)
            elif not answer.addresses:
                yield HostProblem(name=host.name, text=str(HardFailure.of_lookup(host.name, "A", answer.absence)))
            else:
                for address in answer.addresses:
                    yield Candidate(host=host, address=address)


async def _of_route(entry: RouteHost, resolver: Resolver, rng: random.Random) -> list[Host] | HostProblem:
    name = entry.host
    if is_address(name):
        return [Host(name=name, port=entry.port, address=name, rank=entry.priority)]
    if entry.force_address:
        return [Host(name=name, port=entry.port, route_host=name, rank=entry.priority)]
    try:
        hosts = _exchangers(name, await resolver.mx(name), rng)
    except LookupFailed as failed:
        return HostProblem(name=name, text=str(failed), failed=failed)
    except HardFailure as failure:
        return HostProblem(name=name, text=str(failure))
    return [evolve(host, port=entry.port, route_host=name, rank=entry.priority) for host in hosts]


def _exchangers(domain: str, answer: MxAnswer, rng: random.Random) -> list[Host]:
    """Errors: HardFailure."""
    if answer.null:
        raise HardFailure.of_lookup(domain, "MX", "NullMX")
    if answer.absence == "NXDomain":
        raise HardFailure.of_lookup(domain, "MX", "NXDomain")
    if not answer.exchangers:
        return [Host(name=domain)]
    order = [(one.preference, rng.random(), one.host) for one in answer.exchangers if one.host]
    return [Host(name=host, rank=preference) for preference, _, host in sorted(order)]


async def _addresses(hosts: list[Host], resolver: Resolver, preference: IpSortPref) -> list[tuple[Host, AddressAnswer | LookupFailed]]:
    async def look(host: Host) -> AddressAnswer | LookupFailed:
        if host.address is not None:
            return AddressAnswer(addresses=(host.address,))
        try:
            return await resolver.addresses(host.name, preference)
        except LookupFailed as failed:
            return failed

    return list(zip(hosts, await asyncio.gather(*map(look, hosts)), strict=True))

"""A live appliance with an outside world of its own: name server with signed zones, authority, peers at logical addresses."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from appliance_runtime.appliance import Appliance
from appliance_runtime.commit import Author
from appliance_runtime.delivery.tlsa import selected
from appliance_state.model.certificates import CertificateAuthorities
from appliance_state.model.dns import DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority, self_signed
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer
from tests.support.live import Person, Place, live

NAME_SERVER = "192.0.2.53"


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@define(eq=False)
class Outside:
    """What is there before the appliance starts. `maps`: where the logical addresses really are."""

    now: datetime
    dns: LabDns
    root: Authority
    maps: list[str] = field(factory=list)
    peers: dict[str, Peer] = field(factory=dict)

    async def peer(self, name: str, address: str, *, port: int = 25, mx_of: str | None = None, preference: int = 10, **fields: Any) -> Peer:
        """A peer with its A record and, for a domain, its MX record."""
        peer = Peer(name, **{"identity": self.root.issue(self.now, common_name=name, dns_names=[name]), **fields})
        await peer.start()
        self.peers[name] = peer
        self.maps.append(f"{address}:{port}=127.0.0.1:{peer.port}")
        self.dns.set(f"{name} A {address}")
        if mx_of is not None:
            self.dns.set(f"{mx_of} MX {preference} {name}.")
        return peer

    def nobody(self, address: str, port: int = 25) -> None:
        """An address that refuses connections."""
        self.maps.append(f"{address}:{port}=127.0.0.1:{free_port()}")

    def tlsa(self, name: str, form: str = "3 1 1", *, port: int = 25, data: str | None = None) -> None:
        """The record of a peer's certificate, or with other data."""
        if data is None:
            identity = self.peers[name].identity
            assert identity is not None
            _, selector, matching_type = map(int, form.split())
            data = selected(identity.der[0], selector, matching_type).hex()
        self.dns.set(f"_{port}._tcp.{name} TLSA {form} {data}")

    def own(self, name: str) -> Any:
        """A self-signed certificate."""
        return self_signed(self.now, common_name=name)


@define
class World:
    outside: Outside
    place: Place
    admin: Person

    @property
    def appliance(self) -> Appliance:
        return self.place.appliance

    async def configure(self, **sections: object) -> None:
        """A generation with other sections."""
        config = self.appliance.running()[1].with_(**sections)
        await self.appliance.change_now(config, {}, Author(user="admin", kind="system"))


@asynccontextmanager
async def world(root: Path, prepare: Callable[[Outside], Any], *, scale: float = 1.0, trusted: bool = True) -> AsyncIterator[World]:
    """`prepare`: makes peers and zones. `trusted`: the authority is in the custom list."""
    now = datetime.now(UTC)
    dns = LabDns()
    await dns.start()
    outside = Outside(now=now, dns=dns, root=Authority.root("Lab Root CA", now))
    try:
        await prepare(outside)
        maps = [f"{NAME_SERVER}:53={dns.address}:{dns.port}", *outside.maps]
        async with live(root, *maps, net_timeout_scale=scale, trust_anchor=dns.trust_anchor) as place:
            made = World(outside, place, place.person())
            config = place.appliance.running()[1]
            await made.configure(
                dns=evolve(config.dns, servers=Table([DnsServer(address=NAME_SERVER)]), dnssec_mode=DnssecMode.VALIDATE),
                certificate_authorities=CertificateAuthorities(
                    system_enabled=False, custom_enabled=trusted, custom_list=(outside.root.pem,) if trusted else ()
                ),
            )
            yield made
    finally:
        for peer in outside.peers.values():
            await peer.stop()
        await dns.stop()

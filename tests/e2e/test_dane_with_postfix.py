"""The DANE vectors, decided by Postfix behind unbound: for every row that is not marked as different, the result is ours.

Postfix (`dane`, `dane-only`) delivers to the same kind of peers, by the same signed zones; unbound validates them from the
same key of the root. What the appliance makes of each row is tested beside the table itself.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from attrs import frozen

from asyncos_shell.lab.authority import Authority, self_signed
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer
from tests.support.dane_vectors import BAD, ROWS, World, declare_zones, publish, tlsa
from tests.support.postfix_sender import Sent, sending_postfix
from tests.support.validators import unbound

pytestmark = pytest.mark.e2e

RESOLVER = "127.0.20.253"
NAMESPACES = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
COMPARED = [row for row in ROWS if row.compared]


@frozen
class Scene:
    listed: Authority
    domains: dict[str, str]
    """destination domain of each row"""
    peers: dict[str, Peer]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    now = datetime.now(UTC)
    dns = LabDns(validating=False)
    declare_zones(dns)
    listed = Authority.root("Listed Root CA", now)
    made = Scene(listed, {}, {})
    for number, row in enumerate(COMPARED, start=1):
        world = World.of(row, listed, now)
        identity = row.identity(world)
        peer = Peer(world.host, identity=identity, behaviour=row.behaviour)
        await peer.start(f"127.0.20.{number}", 25)
        publish(dns, row, world, identity, peer.address)
        made.domains[row.name], made.peers[row.name] = world.domain, peer
    await _two_hosts(made, dns, now)
    await dns.start()
    try:
        async with unbound(dns, now, RESOLVER, 53):
            yield made
    finally:
        for peer in made.peers.values():
            await peer.stop()
        await dns.stop()


async def _two_hosts(scene: Scene, dns: LabDns, now: datetime) -> None:
    """The row `multi`: the first host has a bad record, the second one a good one."""
    scene.domains["multi"] = "multi.dane.example"
    for number, name in ((1, "multi-bad"), (2, "multi")):
        peer = scene.peers[name] = Peer(name, identity=self_signed(now))
        assert peer.identity is not None
        await peer.start(f"127.0.20.{100 + number}", 25)
        host = f"mx{number}.multi.dane.example"
        dns.set(f"multi.dane.example MX {number}0 {host}.")
        dns.set(f"{host} A {peer.address}")
        dns.set(f"_25._tcp.{host} TLSA {f'3 1 1 {BAD}' if number == 1 else tlsa('3 1 1', peer.identity.der[0])}")


def _cell(sent: Sent, peer: Peer) -> str:
    if sent.status != "sent":
        return {"deferred": "X", "bounced": "B"}[sent.status]
    if peer.messages[0].tls is None:
        return "C"
    assert peer.identity is not None
    certificate = peer.identity.certificate
    # Behind an insecure MX record Postfix calls a match trusted, not verified; nothing else lets it trust a self-signed certificate.
    matched = sent.trust == "Verified" or (sent.trust == "Trusted" and certificate.issuer == certificate.subject)
    return "D" if matched else "T"


@pytest.mark.skipif(not NAMESPACES, reason="Postfix needs a mount namespace, to have a resolver of its own")
@pytest.mark.parametrize(("level", "column"), [("dane", 1), ("dane-only", 2)])
async def test_postfix_comes_to_the_same_result(scene: Scene, level: str, column: int) -> None:
    async with sending_postfix(level, RESOLVER, scene.listed.pem) as postfix:
        for domain in scene.domains.values():
            await asyncio.to_thread(postfix.send, f"bob@{domain}", "Subject: x\r\n\r\nmarker\r\n")
        sent = await postfix.until({f"bob@{domain}" for domain in scene.domains.values()})
        found = {name: _cell(sent[f"bob@{domain}"], scene.peers[name]) for name, domain in scene.domains.items()}
        expected = {row.name: row.cells[column] for row in COMPARED} | {"multi": "D"}
        different = {
            name: (expected[name], cell, sent[f"bob@{scene.domains[name]}"].text) for name, cell in found.items() if cell != expected[name]
        }
        assert different == {}
        assert scene.peers["multi-bad"].messages == []

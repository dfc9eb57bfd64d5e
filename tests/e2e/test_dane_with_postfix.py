"""The DANE vectors, decided by Postfix and by the appliance, both behind unbound: for every row not marked as different the same.

Both deliver to the same peers, by the same signed zones. Postfix (`dane`, `dane-only`) takes the word of unbound, which validates
from the key of the root; the appliance does so too (`trust_ad`), or validates what unbound hands on.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve, frozen

from appliance_runtime.appliance import Appliance
from appliance_runtime.commit import Author
from appliance_runtime.queue.message_queue import NewMessage
from appliance_state.model.certificates import CertificateAuthorities
from appliance_state.model.destinations import DEFAULT_DOMAIN, DaneSupport, TlsSupport
from appliance_state.model.dns import DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority, self_signed
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer
from tests.support.dane_vectors import BAD, ROWS, World, declare_zones, publish, tlsa
from tests.support.live import live
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
    bases: dict[str, str]
    """name below which the records are found where DANE succeeds"""
    trust_anchor: str


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    now = datetime.now(UTC)
    dns = LabDns(validating=False)
    declare_zones(dns)
    listed = Authority.root("Listed Root CA", now)
    made = Scene(listed, {}, {}, {}, dns.trust_anchor)
    for number, row in enumerate(COMPARED, start=1):
        world = World.of(row, listed, now)
        identity = row.identity(world)
        peer = Peer(world.host, identity=identity, behaviour=row.behaviour)
        await peer.start(f"127.0.20.{number}", 25)
        publish(dns, row, world, identity, peer.address)
        made.domains[row.name], made.peers[row.name] = world.domain, peer
        made.bases[row.name] = row.base.format(**world.names(peer.address))
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
    scene.bases["multi"] = "mx2.multi.dane.example"
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


def _expected(column: int) -> dict[str, str]:
    return {row.name: row.cells[column] for row in COMPARED} | {"multi": "D"}


@pytest.mark.skipif(not NAMESPACES, reason="Postfix needs a mount namespace, to have a resolver of its own")
@pytest.mark.parametrize(("level", "column"), [("dane", 1), ("dane-only", 2)])
async def test_postfix_comes_to_the_same_result(scene: Scene, level: str, column: int) -> None:
    async with sending_postfix(level, RESOLVER, scene.listed.pem) as postfix:
        for domain in scene.domains.values():
            await asyncio.to_thread(postfix.send, f"bob@{domain}", "Subject: x\r\n\r\nmarker\r\n")
        sent = await postfix.until({f"bob@{domain}" for domain in scene.domains.values()})
        found = {name: _cell(sent[f"bob@{domain}"], scene.peers[name]) for name, domain in scene.domains.items()}
        expected = _expected(column)
        different = {
            name: (expected[name], cell, sent[f"bob@{scene.domains[name]}"].text) for name, cell in found.items() if cell != expected[name]
        }
        assert different == {}
        assert scene.peers["multi-bad"].messages == []


@pytest.mark.parametrize("mode", [DnssecMode.VALIDATE, DnssecMode.TRUST_AD], ids=lambda mode: mode.value)
@pytest.mark.parametrize(("support", "column"), [(DaneSupport.OPPORTUNISTIC, 1), (DaneSupport.MANDATORY, 2)])
async def test_the_appliance_comes_to_that_result_with_these_peers(
    scene: Scene, tmp_path: Path, mode: DnssecMode, support: DaneSupport, column: int
) -> None:
    async with live(tmp_path, trust_anchor=scene.trust_anchor) as place:
        appliance = place.appliance
        config = appliance.running()[1]
        default = evolve(config.destinations[DEFAULT_DOMAIN], tls_support=TlsSupport.PREFERRED, dane_support=support)
        changed = config.with_(
            dns=evolve(config.dns, servers=Table([DnsServer(address=RESOLVER)]), dnssec_mode=mode),
            certificate_authorities=CertificateAuthorities(system_enabled=False, custom_enabled=True, custom_list=(scene.listed.pem,)),
            destinations=config.destinations.put(default),
        )
        await appliance.change_now(changed, {}, Author(user="admin", kind="system"))
        mids = {name: await _queued(appliance, f"bob@{domain}") for name, domain in scene.domains.items()}
        lines: list[str] = []
        async with asyncio.timeout(60):
            while not all(_decided(lines, mid) for mid in mids.values()):
                await asyncio.sleep(0.1)
                lines = place.lines("mail_logs")
        found = {name: _own_cell(lines, mid, scene.peers[name], scene.bases[name]) for name, mid in mids.items()}
        assert found == _expected(column)
        assert scene.peers["multi-bad"].messages == []


async def _queued(appliance: Appliance, recipient: str) -> int:
    mid = appliance.queue.next_mid()
    body = appliance.queue.new_body()
    body.write(b"Subject: x\r\n\r\nmarker\r\n")
    await appliance.queue.accept(
        NewMessage(
            mid=mid, sender="", recipients=(recipient,), body=body, received=appliance.clock.now(), listener=None, bounce_profile="Default",
            direction="outbound", icid=1,
        )
    )  # fmt: skip
    return mid


def _decided(lines: list[str], mid: int) -> bool:
    return any(re.search(rf"(Message done|Delayed:|Bounced:) DCID \d+ MID {mid} ", line) for line in lines)


def _own_cell(lines: list[str], mid: int, peer: Peer, base: str) -> str:
    if not peer.messages:
        return "B" if any(re.search(rf"Bounced: DCID \d+ MID {mid} ", line) for line in lines) else "X"
    if peer.messages[0].tls is None:
        return "C"
    return "D" if any(f"matches the certificate of {base}" in line for line in lines) else "T"

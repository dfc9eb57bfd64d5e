"""A delivery agent with everything around it real but the clock: queue on disk, name server, peers on loopback sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from appliance_runtime.addresses import AddressMap, parse_rule
from appliance_runtime.clock import FakeClock
from appliance_runtime.delivery.agent import DeliveryAgent
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_runtime.logs.writer import MemoryLogs
from appliance_runtime.metrics import Counters
from appliance_runtime.queue.message_queue import MessageQueue, NewMessage
from appliance_runtime.snapshot import Snapshot
from appliance_runtime.supervisor import Supervisor
from appliance_runtime.tls import Credentials, client_context
from appliance_state.certificates.crl import NO_LISTS, RevocationLists
from appliance_state.model import Config
from appliance_state.model.destinations import DEFAULT_DOMAIN, Destination, TlsSupport
from appliance_state.model.dns import Dns, DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.authority import Authority
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.peers import Peer

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
NAME_SERVER = "192.0.2.53"
SCALE = 0.01


@define
class MemoryAlerts:
    raised: list[tuple[str, str, str, str, str]] = field(factory=list)

    def raise_(self, alert_id: str, key: str, alert_class: str, severity: str, text: str) -> None:
        self.raised.append((alert_id, key, alert_class, severity, text))


@define(eq=False)
class Rig:
    queue: MessageQueue
    dns: LabDns
    root: Authority
    clock: FakeClock
    logs: MemoryLogs
    counters: Counters
    address_map: AddressMap
    alerts: MemoryAlerts
    snapshot: Snapshot
    resolver: Resolver
    agent: DeliveryAgent = field(init=False)
    peers: list[Peer] = field(factory=list)
    crashes: list[tuple[str, str]] = field(factory=list)
    revocations: RevocationLists = NO_LISTS
    _intermediate: Authority | None = None

    def __attrs_post_init__(self) -> None:
        self.agent = DeliveryAgent(
            lambda: self.snapshot,
            self.queue,
            self.logs,
            self.clock,
            self.counters,
            self.resolver,
            self.address_map,
            self.alerts,
            Supervisor(lambda what, error: self.crashes.append((what, error))).crashed,
            revocations=lambda config: self.revocations if config.crl.check_outbound else NO_LISTS,
            net_timeout_scale=SCALE,
            rng=random.Random(7),
        )

    @property
    def intermediate(self) -> Authority:
        self._intermediate = self._intermediate or self.root.intermediate("Lab Intermediate CA", NOW)
        return self._intermediate

    def commit(self, **sections: object) -> None:
        """A new generation."""
        self.snapshot = evolve(self.snapshot, generation=self.snapshot.generation + 1, config=self.snapshot.config.with_(**sections))
        self.agent.configuration_changed()

    def present(self, credentials: Credentials) -> None:
        """Another client certificate."""
        ssl_settings = self.snapshot.config.ssl
        context = client_context(credentials, methods=ssl_settings.outbound_methods, ciphers=ssl_settings.outbound_ciphers)
        self.snapshot = evolve(self.snapshot, generation=self.snapshot.generation + 1, outbound_context=context)

    def destination(self, domain: str = DEFAULT_DOMAIN, **settings: Any) -> None:
        """Destination controls of a domain, as by a commit."""
        known = self.snapshot.config.destinations
        entry = evolve(known[domain], **settings) if domain in known else Destination(domain=domain, **settings)
        self.commit(destinations=known.put(entry))

    def use_dnssec(self, mode: DnssecMode) -> None:
        settings = evolve(self.snapshot.config.dns, dnssec_mode=mode)
        self.resolver.reconfigure(settings)
        self.commit(dns=settings)

    def level(self, number: int, domain: str = DEFAULT_DOMAIN) -> None:
        self.destination(domain, tls_support=list(TlsSupport)[number - 1])

    async def peer(
        self, name: str, address: str, *, domain: str | None = None, preference: int = 10, port: int = 25, **fields: Any
    ) -> Peer:
        """A peer at a logical address, with A record and, for a domain, MX record."""
        peer = Peer(name, **{"identity": self.root.issue(NOW, common_name=name, dns_names=[domain or name]), **fields})
        await peer.start()
        self.peers.append(peer)
        self.map(address, peer.port, port)
        if domain is not None:
            self.dns.set(f"{domain} MX {preference} {name}.")
            self.dns.set(f"{name} A {address}")
        return peer

    def map(self, address: str, real_port: int, port: int = 25) -> None:
        self.address_map.rules.append(parse_rule(f"{address}:{port}=127.0.0.1:{real_port}"))

    async def send(
        self,
        *recipients: str,
        sender: str = "alice@example.test",
        body: bytes = b"Subject: m\r\n\r\nmarker-in-the-body\r\n",
        profile: str = "Default",
    ) -> int:
        """Put a message into the queue; returns its MID."""
        mid = self.queue.next_mid()
        octets = self.queue.new_body()
        octets.write(body)
        await self.queue.accept(
            NewMessage(
                mid=mid,
                sender=sender,
                recipients=recipients or ("bob@d.test",),
                body=octets,
                received=self.clock.now(),
                listener="In",
                bounce_profile=profile,
                direction="outbound",
                icid=1,
            )
        )
        return mid

    async def until(self, condition: Callable[[], bool], what: str = "", limit: float = 30.0) -> None:
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"{what or 'not in time'}\n" + "\n".join(self.logs.lines)) from None

    async def idle(self) -> None:
        """Until no connection is open and nothing is due."""
        await asyncio.sleep(0)
        await self.until(lambda: not self.agent.busy and not self.queue.domains_due(self.clock.now()), "not idle")

    async def advance(self, seconds: float) -> None:
        """Move the clock on, with everything done that is due in between."""
        end = self.clock.now().timestamp() + seconds
        while (due := self.queue.next_due()) is not None and due.timestamp() <= end:
            await self.clock.advance(max(0.0, (due - self.clock.now()).total_seconds()))
            await self.idle()
        await self.clock.advance(end - self.clock.now().timestamp())
        await self.idle()

    def lines(self, *parts: str) -> list[str]:
        """Log lines that hold one of the parts."""
        return [line for line in self.logs.lines if any(part in line for part in parts)]


@pytest.fixture(scope="session")
def root() -> Authority:
    return Authority.root("Lab Root CA", NOW)


@pytest.fixture
async def rig(tmp_path: Path, root: Authority) -> AsyncIterator[Rig]:
    clock = FakeClock(NOW)
    dns = LabDns(now=clock.now)
    await dns.start()
    address_map = AddressMap.parse([f"{NAME_SERVER}:53={dns.address}:{dns.port}"])
    config = Config(dns=Dns(servers=Table([DnsServer(address=NAME_SERVER)])))
    snapshot = Snapshot(
        generation=1,
        config=config,
        receiving={},
        inbound_contexts={},
        gui_contexts={},
        outbound_context=client_context(None, methods=config.ssl.outbound_methods, ciphers=config.ssl.outbound_ciphers),
        anchors=(root.der,),
    )
    queue = await MessageQueue.open(tmp_path / "queue", clock)
    made = Rig(
        queue=queue,
        dns=dns,
        root=root,
        clock=clock,
        logs=MemoryLogs(clock),
        counters=Counters(clock),
        address_map=address_map,
        alerts=MemoryAlerts(),
        snapshot=snapshot,
        resolver=Resolver(config.dns, clock, address_map, net_timeout_scale=0.2, anchors=parse_anchors(dns.trust_anchor)),
    )
    await made.agent.start()
    yield made
    await made.agent.stop(0)
    for peer in made.peers:
        await peer.stop()
    await queue.close()
    await dns.stop()
    assert not made.crashes
